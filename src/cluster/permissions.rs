//! What we need to be allowed, by name, and the RBAC that would allow what is missing. Pure. It refuses wildcards, and to ask for more than is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::request::{MANAGER, Permission};

/// One thing that we need to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub permission: Permission,
    /// What for, in a few words.
    pub purpose: &'static str,
}

/// All that is needed on `node`; `maps` are the fleet's ConfigMaps with whether we write them: namespace, name, written.
pub fn needs(node: &str, maps: &[(&str, &str, bool)]) -> Vec<Need> {
    let need = |purpose, verb: &str, resource: &str, namespace: &str, name: &str, field: Option<&str>| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Need {
            purpose,
            permission: Permission {
                verb: verb.to_owned(),
                group: String::new(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                field: field.map(|field| (field.to_owned(), node.to_owned())),
            },
        }
    };
    let (by_name, on_node) = (Some("metadata.name"), Some("spec.nodeName"));
    let mut needs = vec![
        need("to see its own Node", "get", "nodes", "", node, None),
        // The server takes the name from the selector; a review has to say it itself.
        need("to see its own Node", "list", "nodes", "", node, by_name),
        need("to see its own Node", "watch", "nodes", "", node, by_name),
        need("to cordon, uncordon and annotate", "patch", "nodes", "", node, None),
        need("to report conditions", "patch", "nodes/status", "", node, None),
        need("to report events", "create", "events", "default", "", None),
        need("to report events", "patch", "events", "default", "", None),
        need("to drain", "list", "pods", "", "", on_node),
        need("to drain", "watch", "pods", "", "", on_node),
        need("to drain", "create", "pods/eviction", "", "", None),
    ];
    for (namespace, name, written) in maps {
        needs.push(need("to keep the fleet's budget", "get", "configmaps", namespace, name, None));
        if *written {
            needs.push(need("to keep the fleet's budget", "update", "configmaps", namespace, name, None));
        }
    }
    if !maps.is_empty() {
        needs.push(need("to see that another's cordon is gone", "get", "nodes", "", "", None));
    }
    needs
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.full_resource())?;
        for (word, value) in [(" ", &self.name), (" in ", &self.namespace)] {
            if !value.is_empty() {
                write!(f, "{word}{value}")?;
            }
        }
        match &self.field {
            Some((key, value)) => write!(f, " with {key}={value}"),
            None => Ok(()),
        }
    }
}

impl Permission {
    fn full_resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }
}

/// Verbs by API group, resource and name.
type Rules<'a> = BTreeMap<(&'a str, String, &'a str), BTreeSet<&'a str>>;

/// The objects that allow `missing` to `user`, one Role and binding per namespace. All nodes are one group: what names one Node is for every node's own.
pub fn rbac(missing: &[Permission], user: &str) -> Vec<Value> {
    let mut roles: BTreeMap<&str, Rules<'_>> = BTreeMap::new();
    for one in missing {
        // RBAC knows no field selectors, and a fleet's rule cannot name one Node.
        let name = if one.resource == "nodes" { "" } else { one.name.as_str() };
        let rules = roles.entry(one.namespace.as_str()).or_default();
        rules.entry((one.group.as_str(), one.full_resource(), name)).or_default().insert(one.verb.as_str());
    }
    let group = "rbac.authorization.k8s.io";
    let subject = match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
        None if user.starts_with("system:node:") => json!({"apiGroup": group, "kind": "Group", "name": "system:nodes"}),
        None => json!({"apiGroup": group, "kind": "User", "name": user}),
    };
    roles
        .into_iter()
        .flat_map(|(namespace, rules)| {
            let rules: Vec<Value> = rules
                .into_iter()
                .map(|((api, resource, name), verbs)| {
                    let mut rule = json!({"apiGroups": [api], "resources": [resource]});
                    if !name.is_empty() {
                        rule["resourceNames"] = json!([name]);
                    }
                    rule["verbs"] = json!(verbs);
                    rule
                })
                .collect();
            let (kind, mut head) = match namespace {
                "" => ("ClusterRole", json!({"name": MANAGER})),
                namespace => ("Role", json!({"name": MANAGER, "namespace": namespace})),
            };
            let version = format!("{group}/v1");
            let role = json!({"apiVersion": version, "kind": kind, "metadata": head, "rules": rules});
            head = role["metadata"].clone();
            let binding = json!({
                "apiVersion": version, "kind": format!("{kind}Binding"), "metadata": head,
                "roleRef": {"apiGroup": group, "kind": kind, "name": MANAGER}, "subjects": [subject],
            });
            [role, binding]
        })
        .collect()
}

/// The same as YAML, for a person to read and apply.
pub fn rbac_yaml(missing: &[Permission], user: &str) -> String {
    let documents: Vec<String> =
        rbac(missing, user).iter().filter_map(|document| yaml_serde::to_string(document).ok()).collect();
    documents.join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_missing_budget_is_one_role_for_all_nodes() {
        let missing: Vec<_> = needs("n", &[("kube-system", "ledger", true), ("kube-system", "limits", false)])
            .into_iter()
            .map(|need| need.permission)
            .filter(|permission| permission.resource == "configmaps")
            .collect();
        assert_eq!(missing.len(), 3);
        let objects = rbac(&missing, "system:node:n");
        assert_eq!(objects.len(), 2);
        assert_eq!(
            objects[0]["rules"],
            json!([
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["ledger"], "verbs": ["get", "update"]},
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["limits"], "verbs": ["get"]},
            ])
        );
        assert_eq!(objects[1]["subjects"][0]["name"], "system:nodes");
        let yaml = rbac_yaml(&missing, "system:node:n");
        assert!(yaml.contains("kind: RoleBinding") && yaml.contains("\n---\n") && !yaml.contains('*'), "{yaml}");
    }

    #[test]
    fn a_service_account_is_named_as_one() {
        let missing: Vec<_> = needs("n", &[]).into_iter().map(|need| need.permission).collect();
        let objects = rbac(&missing, "system:serviceaccount:kube-system:steward");
        let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]);
        assert_eq!(
            objects[1]["subjects"][0],
            json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "steward"})
        );
        // A rule for a fleet names no Node.
        assert!(!objects[0].to_string().contains("resourceNames"), "{}", objects[0]);
        assert_eq!(missing[7].to_string(), "list pods with spec.nodeName=n");
    }
}
