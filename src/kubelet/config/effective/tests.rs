//! How files, drop-ins and flags merge. The agreement with real kubelets is tested in `tests/e2e/kube/matrix`; these run
//! everywhere. They refuse to check wording.

use super::*;
use crate::kubelet::config::{ConfigFile, parse};
use crate::kubelet::flags::Flags;

fn file(path: &str, text: &str) -> ConfigFile {
    ConfigFile { path: path.to_owned(), node: parse(path, text.as_bytes()).expect(text) }
}

fn config(main: &str, drop_ins: &[(&str, &str)], flags: &[&str]) -> KubeletConfig {
    KubeletConfig {
        main: (!main.is_empty()).then(|| file("main", main)),
        drop_ins: drop_ins.iter().map(|(path, text)| file(path, text)).collect(),
        flags: Flags::parse("flags", flags.iter().map(|f| (*f).to_owned())),
    }
}

#[test]
fn fills_eviction_as_kubelet_does() {
    let thresholds = |c: &KubeletConfig| c.effective().texts("evictionHard").len();
    assert_eq!(thresholds(&config("{}", &[], &[])), 5);
    assert_eq!(thresholds(&config("evictionHard: {memory.available: 1Gi}", &[], &[])), 1);
    assert_eq!(thresholds(&config("evictionHard: {}", &[], &[])), 0);
    assert_eq!(thresholds(&config("evictionHard:", &[], &[])), 5);
    assert_eq!(thresholds(&config("", &[("10.conf", "evictionHard: {memory.available: 1Gi}")], &[])), 1);
    let merged = "evictionHard: {memory.available: 1Gi}\nmergeDefaultEvictionSettings: true";
    assert_eq!(thresholds(&config(merged, &[], &[])), 5);
    let old = KubeletVersion { major: 1, minor: 32 };
    assert_eq!(config(merged, &[], &[]).effective_for(Some(old)).texts("evictionHard").len(), 1);
    let old = KubeletVersion { major: 1, minor: 29 };
    assert_eq!(config("{}", &[], &[]).effective_for(Some(old)).texts("evictionHard").len(), 4);
    let kept = config("{}", &[("10.conf", "evictionHard: {memory.available: 500Mi}")], &[]).effective();
    assert_eq!(kept.texts("evictionHard").len(), 5);
    assert_eq!(kept.origin("evictionHard.memory.available"), Origin::File("10.conf".to_owned()));
    assert_eq!(kept.origin("evictionHard.nodefs.available"), Origin::Default);
    assert_eq!(thresholds(&config("{}", &[("10.conf", "evictionHard: null")], &[])), 0);
    assert_eq!(thresholds(&config("{}", &[], &["--eviction-hard=memory.available<1Gi"])), 1);
}

#[test]
fn later_drop_ins_win_and_flags_win_over_all() {
    let drop_ins = [
        ("d/20.conf", "maxPods: 20\nkubeReserved: {memory: 2Gi}"),
        ("d/10.conf", "maxPods: 10\nkubeReserved: {memory: 1Gi, cpu: 10m}"),
    ];
    let main = "maxPods: 5\nkubeReserved: {ephemeral-storage: 1Gi}";
    let merged = config(main, &drop_ins, &[]).effective();
    assert_eq!(merged.max_pods(1), (20, Origin::File("d/20.conf".to_owned())));
    let reserved = merged.resources("kubeReserved").expect("reserved");
    assert_eq!(serde_json::to_string(&reserved).unwrap(), r#"{"cpu":"10m","memory":"2Gi","ephemeral-storage":"1Gi"}"#);
    assert_eq!(merged.origin("kubeReserved.cpu"), Origin::File("d/10.conf".to_owned()));
    assert_eq!(merged.origin("kubeReserved.ephemeral-storage"), Origin::File("main".to_owned()));

    let flagged = config(main, &drop_ins, &["--kube-reserved=memory=3Gi", "--max-pods", "7"]).effective();
    assert_eq!(flagged.texts("kubeReserved"), BTreeMap::from([("memory".to_owned(), "3Gi".to_owned())]));
    assert_eq!(flagged.origin("kubeReserved.memory").to_string(), "--kube-reserved in flags");
    assert_eq!(flagged.max_pods(1).0, 7);
}

#[test]
fn flags_add_to_gates_and_reach_nested_fields() {
    let main =
        "featureGates: {A: true, B: true}\nauthentication: {anonymous: {enabled: true}, webhook: {enabled: true}}";
    let merged = config(main, &[], &["--feature-gates=B=false,C=true", "--anonymous-auth=false"]).effective();
    assert_eq!(serde_json::to_string(merged.get("featureGates").unwrap()).unwrap(), r#"{"A":true,"B":false,"C":true}"#);
    assert_eq!(merged.get("authentication.anonymous.enabled"), Some(&Node::Bool(false)));
    assert_eq!(merged.get("authentication.webhook.enabled"), Some(&Node::Bool(true)));
    assert_eq!(merged.origin("authentication.webhook.enabled"), Origin::File("main".to_owned()));
}

#[test]
fn pods_per_core_and_zero() {
    assert_eq!(config("{}", &[], &[]).effective().max_pods(4), (110, Origin::Default));
    assert_eq!(config("maxPods: 0", &[], &[]).effective().max_pods(4).0, 110);
    assert_eq!(config("maxPods: 50\npodsPerCore: 10", &[], &[]).effective().max_pods(4).0, 40);
    assert_eq!(config("maxPods: 50\npodsPerCore: 10", &[], &[]).effective().max_pods(8).0, 50);
}

#[test]
fn null_in_the_main_file() {
    let merged = config("kubeReserved: {cpu: null}\nmaxPods: null", &[], &[]).effective();
    assert_eq!(merged.texts("kubeReserved"), BTreeMap::from([("cpu".to_owned(), String::new())]));
    assert_eq!(merged.resources("kubeReserved").unwrap_err().path, "kubeReserved.cpu");
    assert_eq!(merged.get("maxPods"), None);
}

fn of(minor: u16, config: &KubeletConfig) -> Effective {
    config.effective_for(Some(KubeletVersion { major: 1, minor }))
}

#[test]
fn drop_ins_are_read_otherwise_by_older_kubelets() {
    let main = "kubeReserved: {cpu: 80m}\nkubeReservedCgroup: /runtime\nmaxPods: 29\nfailSwapOn: false\nresolvConf: /a";
    let drop_in = [("10.conf", "kubeReserved: {cpu: null, memory: 1Gi}\nkubeReservedCgroup: null\nresolvConf: /b")];
    let config = config(main, &drop_in, &[]);
    let new = of(36, &config);
    assert_eq!(new.texts("kubeReserved").keys().collect::<Vec<_>>(), ["memory"]);
    assert_eq!((new.get("kubeReservedCgroup"), new.get("resolvConf").and_then(Node::as_str)), (None, Some("/b")));
    let middle = of(31, &config);
    assert_eq!(middle.texts("kubeReserved").keys().collect::<Vec<_>>(), ["cpu", "memory"]);
    assert!(middle.get("kubeReservedCgroup").is_some());
    assert_eq!(middle.get("resolvConf").and_then(Node::as_str), Some("/a"));
    assert_eq!(middle.max_pods(1).0, 29);
    let old = of(28, &config);
    assert_eq!(old.max_pods(1), (110, Origin::Default));
    assert_eq!(old.get("failSwapOn"), None);
    assert_eq!(old.texts("kubeReserved").keys().collect::<Vec<_>>(), ["cpu", "memory"]);
}

#[test]
fn case_folds_as_kubelets_decoder_does() {
    let with = |text: &str| config("maxPods: 20", &[("10.conf", text)], &[]);
    for (text, minor, pods) in
        [("maxpods: 30", 36, 30), ("MaxPods: 30", 36, 20), ("MaxPods: 30", 30, 30), ("maxpods: 30", 30, 30)]
    {
        assert_eq!(of(minor, &with(text)).max_pods(1).0, pods, "{text} 1.{minor}");
    }
    let taken = of(36, &with("KubeReserved: {cpu: 80m}"));
    assert_eq!(taken.texts("kubeReserved").len(), 1);
    assert_eq!(taken.origin("kubeReserved.cpu"), Origin::File("10.conf".to_owned()));
    assert_eq!(of(36, &config("", &[("10.conf", "MaxPods: 30")], &[])).max_pods(1).0, 110);
}
