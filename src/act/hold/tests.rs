//! Nodes as servers show them, against each rule of ownership. It refuses a patch that is not applied: what comes of it is read back.

use super::*;
use crate::cluster::{Managed, NodeCondition, Taint};

const NOW: Wall = Wall(1_700_000_000_000);

fn node() -> Node {
    let mut node = Node::default();
    node.metadata.name = "n".to_owned();
    node.metadata.managed_fields = vec![written("kubelet", &json!({"f:metadata": {"f:labels": {}}}))];
    node
}

fn written(manager: &str, fields: &Value) -> Managed {
    Managed { manager: manager.to_owned(), fields: fields.clone(), ..Managed::default() }
}

/// As the server does it: RFC 7386, and a note of who wrote the field.
fn apply(node: &mut Node, manager: &str, patch: &Value) {
    let mut whole = json!(node);
    merge(&mut whole, patch);
    *node = serde_json::from_value(whole).unwrap();
    if patch.pointer("/spec/unschedulable").is_some() {
        node.metadata.managed_fields.retain(|one| one.fields.pointer("/f:spec").is_none());
        if node.spec.unschedulable {
            node.metadata.managed_fields.push(written(manager, &json!({"f:spec": {"f:unschedulable": {}}})));
        }
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return *target = patch.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        match value {
            Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
            value => merge(target.as_object_mut().unwrap().entry(key.clone()).or_insert(Value::Null), value),
        }
    }
}

fn wish(cordon: bool) -> Wish {
    Wish { cordon, by: "alice".to_owned(), reason: "a new disk".to_owned() }
}

fn granted(node: &mut Node, cordon: bool) {
    match grant(node, &wish(cordon), NOW, "b").unwrap() {
        Step::Patch(patch) => apply(node, MANAGER, &patch),
        Step::IsSo => panic!("it was so already"),
    }
}

fn by_problem(node: &mut Node) {
    let mark = Mark {
        whose: For::Problem,
        by: "sda".to_owned(),
        reason: "DiskStalled".to_owned(),
        since: NOW.to_string(),
        boot_id: "b".to_owned(),
    };
    apply(node, MANAGER, &on(&mark));
}

fn kubectl(node: &mut Node, cordon: bool) {
    let value = if cordon { Value::Bool(true) } else { Value::Null };
    apply(node, "kubectl", &json!({"spec": {"unschedulable": value}}));
}

#[test]
fn one_patch_has_field_mark_and_label_and_the_way_back_leaves_nothing() {
    let mut node = node();
    granted(&mut node, true);
    assert!(node.spec.unschedulable);
    assert_eq!(node.metadata.labels[LABEL], "person");
    let Held::Ours(mark) = held(&node) else { panic!("{:?}", held(&node)) };
    assert_eq!((mark.by.as_str(), mark.since.as_str(), mark.boot_id.as_str()), ("alice", "2023-11-14T22:13:20Z", "b"));
    assert_eq!(grant(&node, &wish(true), NOW, "b"), Ok(Step::IsSo), "asked twice");
    granted(&mut node, false);
    assert_eq!((held(&node), node.spec.unschedulable), (Held::Open, false));
    assert!(node.metadata.labels.is_empty() && node.metadata.annotations.is_empty(), "{node:?}");
    assert_eq!(grant(&node, &wish(false), NOW, "b"), Ok(Step::IsSo));
}

#[test]
fn anothers_cordon_is_left_alone() {
    let mut node = node();
    kubectl(&mut node, true);
    for cordon in [true, false] {
        let refusal = grant(&node, &wish(cordon), NOW, "b").unwrap_err();
        assert_eq!(refusal, Refusal::HeldByAnother("kubectl has cordoned it".to_owned()));
    }
    assert_eq!(let_go(&node, NOW), None);
}

#[test]
fn a_cordon_that_a_person_put_on_over_ours_is_theirs() {
    let mut node = node();
    by_problem(&mut node);
    kubectl(&mut node, false);
    kubectl(&mut node, true);
    assert!(matches!(held(&node), Held::Another(_)), "{:?}", held(&node));
    assert!(grant(&node, &wish(false), NOW, "b").is_err());
}

#[test]
fn a_person_who_takes_our_cordon_off_is_left_alone_for_a_day() {
    let mut node = node();
    by_problem(&mut node);
    kubectl(&mut node, false);
    let Held::TakenOff(Some(_)) = held(&node) else { panic!("{:?}", held(&node)) };
    let patch = let_go(&node, NOW).unwrap();
    assert!(patch.get("spec").is_none(), "{patch}");
    apply(&mut node, MANAGER, &patch);
    assert_eq!(held(&node), Held::Open);
    assert!(node.metadata.labels.is_empty());
    assert_eq!(hands_off(&node, NOW).as_deref(), Some("2023-11-15T22:13:20Z"));
    assert!(hands_off(&node, Wall(NOW.0 + HANDS_OFF_MS - 1)).is_some());
    assert_eq!(hands_off(&node, Wall(NOW.0 + HANDS_OFF_MS)), None);
    node.metadata.annotations.insert(HANDS_OFF.to_owned(), "for good".to_owned());
    assert!(hands_off(&node, NOW).is_some(), "what cannot be read holds");
    // A person may ask all the same.
    granted(&mut node, true);
    assert!(matches!(held(&node), Held::Ours(_)));
}

#[test]
fn through_us_it_is_the_same() {
    let mut node = node();
    by_problem(&mut node);
    granted(&mut node, false);
    assert!(!node.spec.unschedulable && hands_off(&node, NOW).is_some());
    // A cordon that a person asked for and ended is no reason to stay away.
    let mut node = super::tests::node();
    granted(&mut node, true);
    granted(&mut node, false);
    assert_eq!(hands_off(&node, NOW), None);
}

#[test]
fn a_problems_cordon_becomes_a_persons() {
    let mut node = node();
    by_problem(&mut node);
    granted(&mut node, true);
    let Held::Ours(mark) = held(&node) else { panic!("{:?}", held(&node)) };
    assert_eq!((mark.whose, node.metadata.labels[LABEL].as_str()), (For::Person, "person"));
}

#[test]
fn it_stands_down_for_those_who_are_at_work() {
    let condition = |kind: &str, status: &str| NodeCondition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        ..NodeCondition::default()
    };
    let mut cases = Vec::new();
    for kind in AT_WORK {
        let mut node = node();
        node.status.conditions = vec![condition("Ready", "True"), condition(kind, "True")];
        cases.push(node);
    }
    for key in TAKEN.into_iter().chain(["aws-node-termination-handler/spot-itn"]) {
        let mut node = node();
        node.spec.taints = vec![Taint { key: key.to_owned(), ..Taint::default() }];
        cases.push(node);
    }
    let mut out = node();
    out.metadata.annotations.insert(OPT_OUT.to_owned(), "true".to_owned());
    cases.push(out);
    let mut going = node();
    going.metadata.deletion_timestamp = Some(NOW.to_string());
    cases.push(going);
    for node in cases {
        assert!(matches!(grant(&node, &wish(true), NOW, "b"), Err(Refusal::StandsDown(_))), "{node:?}");
    }
    let mut calm = node();
    calm.status.conditions = vec![condition("MaintenanceInProgress", "False"), condition("MaintenancePlanned", "True")];
    calm.spec.taints = vec![Taint { key: "node.kubernetes.io/unschedulable".to_owned(), ..Taint::default() }];
    calm.metadata.annotations.insert(OPT_OUT.to_owned(), "false".to_owned());
    assert_eq!(stands_down(&calm), None);
}

#[test]
fn a_node_without_notes_of_its_writers_goes_by_the_mark() {
    let mut node = node();
    by_problem(&mut node);
    node.metadata.managed_fields.clear();
    assert!(matches!(held(&node), Held::Ours(_)));
    node.metadata.annotations.insert(MARK.to_owned(), "{}".to_owned());
    assert!(matches!(held(&node), Held::Another(_)), "what we did not write is not ours");
}

#[test]
fn long_words_are_cut_between_letters() {
    assert_eq!(cut(&"ä".repeat(400)).len(), 500);
    assert_eq!(cut("short"), "short");
}

#[test]
fn whoever_applies_the_same_beside_us_counts() {
    let mut node = node();
    by_problem(&mut node);
    assert!(matches!(held(&node), Held::Ours(_)));
    node.metadata.managed_fields.push(written("gitops", &json!({"f:spec": {"f:unschedulable": {}}})));
    assert_eq!(held(&node), Held::Another("gitops has cordoned it anew since we did".to_owned()));
    node.metadata.managed_fields.reverse();
    assert!(matches!(held(&node), Held::Another(_)), "in any order");
}
