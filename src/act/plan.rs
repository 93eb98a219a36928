//! What becomes of a pod in a drain. Pure. It refuses to let anything go that could not be had back, unless somebody has allowed just that.

use crate::cluster::{Owner, Pod};
use crate::model::drain::{Allow, DrainPod, DrainStatus, PodStep};

/// A static pod's copy on the server.
const MIRROR: &str = "kubernetes.io/config.mirror";
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is evicted.
    Goes,
    /// It ends already, by somebody else's word: it is waited for.
    Ends,
    /// It stays, since nobody has allowed this.
    Stays(Allow),
    /// A drain is not about it, and why.
    Skipped(&'static str),
}

/// Judges a pod. Where several things keep it, the first one that is not allowed counts.
pub fn fate(pod: &Pod, allow: &[Allow]) -> Fate {
    let head = &pod.metadata;
    let controller = head.owner_references.iter().find(|owner| owner.controller == Some(true));
    let is = |kind: &str| controller.is_some_and(|owner: &Owner| owner.kind == kind);
    if head.annotations.contains_key(MIRROR) || is("Node") {
        return Fate::Skipped("a static pod: kubelet keeps it");
    }
    if is("DaemonSet") {
        return Fate::Skipped("of a DaemonSet, which would put it back");
    }
    if ["Succeeded", "Failed"].contains(&pod.status.phase.as_str()) {
        return Fate::Skipped("it has ended");
    }
    if head.deletion_timestamp.is_some() {
        return Fate::Ends;
    }
    let note = |key: &str, value: &str| head.annotations.get(key).is_some_and(|there| there == value);
    let keeps = |what: &Allow| match what {
        Allow::EmptyDir => pod.spec.volumes.iter().any(|volume| volume.empty_dir.is_some()),
        Allow::Unmanaged => controller.is_none(),
        // Karpenter takes any value but "false"; so do we.
        Allow::DoNotDisrupt => head.annotations.get(DO_NOT_DISRUPT).is_some_and(|there| there != "false"),
        Allow::SafeToEvict => note(SAFE_TO_EVICT, "false"),
        Allow::Jobs => is("Job"),
    };
    let kept = Allow::ALL.into_iter().filter(keeps).find(|what| !allow.contains(what));
    kept.map_or(Fate::Goes, Fate::Stays)
}

/// Why a pod stays.
pub fn why(what: Allow) -> &'static str {
    match what {
        Allow::EmptyDir => "it has an emptyDir, whose content would be lost",
        Allow::Unmanaged => "nobody manages it: it would not come back elsewhere",
        Allow::DoNotDisrupt => "its annotation karpenter.sh/do-not-disrupt says so",
        Allow::SafeToEvict => "its annotation cluster-autoscaler.kubernetes.io/safe-to-evict says so",
        Allow::Jobs => "it is a Job's, whose work would be lost",
    }
}

/// For the plan.
pub fn shown(pod: &Pod, fate: Fate) -> DrainPod {
    let (step, why) = match fate {
        Fate::Goes => (PodStep::Waits, String::new()),
        Fate::Ends => (PodStep::Ending, "somebody else has deleted it".to_owned()),
        Fate::Stays(what) => (PodStep::Stays, format!("{}; allow {} lets it go", why(what), what.word())),
        Fate::Skipped(why) => (PodStep::Skipped, why.to_owned()),
    };
    DrainPod { namespace: pod.metadata.namespace.clone(), name: pod.metadata.name.clone(), step, why }
}

/// What would be done: nothing has begun.
pub fn plan(pods: &[Pod], allow: &[Allow], by: &str, reason: &str) -> DrainStatus {
    let mut pods: Vec<DrainPod> = pods.iter().map(|pod| shown(pod, fate(pod, allow))).collect();
    sort(&mut pods);
    DrainStatus { by: by.to_owned(), reason: reason.to_owned(), pods, ..DrainStatus::default() }
}

/// By namespace and name.
pub(super) fn sort(pods: &mut [DrainPod]) {
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
}

/// A few by name and why, the others by their number.
pub(super) fn named(pods: &[&DrainPod]) -> String {
    const MOST: usize = 10;
    let mut pods = pods.to_vec();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let words = |pod: &&&DrainPod| if pod.why.is_empty() { pod.to_string() } else { format!("{pod} ({})", pod.why) };
    let mut text = pods.iter().take(MOST).map(|pod| words(&pod)).collect::<Vec<_>>().join(", ");
    if pods.len() > MOST {
        text.push_str(&format!(" and {} more", pods.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(change: impl Fn(&mut serde_json::Value)) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "annotations": {},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]},
            "spec": {"nodeName": "node", "volumes": [{"name": "c", "configMap": {"name": "c"}}]},
            "status": {"phase": "Running"},
        });
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
    }

    fn owned(kind: &str) -> Pod {
        pod(|pod| pod["metadata"]["ownerReferences"][0]["kind"] = kind.into())
    }

    fn noted(key: &str, value: &str) -> Pod {
        pod(|pod| pod["metadata"]["annotations"][key] = value.into())
    }

    #[test]
    fn each_pod_has_its_fate_and_each_word_frees_just_its_own() {
        let cases = [
            (pod(|_| ()), Fate::Goes),
            (owned("DaemonSet"), Fate::Skipped("of a DaemonSet, which would put it back")),
            (owned("Node"), Fate::Skipped("a static pod: kubelet keeps it")),
            (noted(MIRROR, "x"), Fate::Skipped("a static pod: kubelet keeps it")),
            (pod(|pod| pod["status"]["phase"] = "Succeeded".into()), Fate::Skipped("it has ended")),
            (pod(|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()), Fate::Ends),
            (pod(|pod| pod["spec"]["volumes"][0]["emptyDir"] = json!({})), Fate::Stays(Allow::EmptyDir)),
            (
                pod(|pod| pod["spec"]["volumes"][0]["emptyDir"] = json!({"medium": "Memory"})),
                Fate::Stays(Allow::EmptyDir),
            ),
            (pod(|pod| pod["metadata"]["ownerReferences"] = json!([])), Fate::Stays(Allow::Unmanaged)),
            (
                pod(|pod| pod["metadata"]["ownerReferences"][0]["controller"] = false.into()),
                Fate::Stays(Allow::Unmanaged),
            ),
            (noted(DO_NOT_DISRUPT, "true"), Fate::Stays(Allow::DoNotDisrupt)),
            (noted(DO_NOT_DISRUPT, "false"), Fate::Goes),
            (noted(SAFE_TO_EVICT, "false"), Fate::Stays(Allow::SafeToEvict)),
            (noted(SAFE_TO_EVICT, "true"), Fate::Goes),
            (owned("Job"), Fate::Stays(Allow::Jobs)),
        ];
        for (pod, wanted) in &cases {
            assert_eq!(fate(pod, &[]), *wanted, "{pod:?}");
            let Fate::Stays(what) = *wanted else {
                assert_eq!(fate(pod, &Allow::ALL), *wanted, "no word frees what a drain is not about");
                continue;
            };
            assert_eq!(fate(pod, &[what]), Fate::Goes, "{what:?}");
            let others: Vec<_> = Allow::ALL.into_iter().filter(|other| *other != what).collect();
            assert_eq!(fate(pod, &others), *wanted, "{what:?}");
        }
    }

    #[test]
    fn a_pod_that_two_things_keep_needs_both_words() {
        let pod = pod(|pod| {
            pod["metadata"]["ownerReferences"][0]["kind"] = "Job".into();
            pod["spec"]["volumes"][0]["emptyDir"] = json!({});
        });
        assert_eq!(fate(&pod, &[]), Fate::Stays(Allow::EmptyDir));
        assert_eq!(fate(&pod, &[Allow::EmptyDir]), Fate::Stays(Allow::Jobs));
        assert_eq!(fate(&pod, &[Allow::EmptyDir, Allow::Jobs]), Fate::Goes);
    }
}
