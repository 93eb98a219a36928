//! What the rules say of single files. The agreement with real kubelets is tested in `tests/e2e/kube/matrix`; these run
//! everywhere. They refuse to check wording.

use super::*;
use crate::kubelet::config::{ConfigFile, parse};
use crate::kubelet::flags::Flags;

const HEAD: &str = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n";

fn config(main: &str, drop_ins: &[&str], flags: &[&str]) -> KubeletConfig {
    let file = |path: String, text: &str| {
        let node = parse(&path, format!("{HEAD}{text}").as_bytes()).expect(text);
        ConfigFile { path, node }
    };
    KubeletConfig {
        main: Some(file("main".to_owned(), main)),
        drop_ins: drop_ins.iter().enumerate().map(|(at, text)| file(format!("d/{at}0.conf"), text)).collect(),
        flags: Flags::parse("flags", flags.iter().map(|f| (*f).to_owned())),
    }
}

fn ground(minor: u16) -> Ground {
    Ground {
        version: Some(KubeletVersion { major: 1, minor }),
        cores: Some(2),
        memory: Some(8 << 30),
        ephemeral_storage: Some(20 << 30),
        cgroup_version: Some(2),
        online_cpus: "0-1".parse().ok(),
        numa_nodes: "0".parse().ok(),
        ..Ground::default()
    }
}

fn codes(config: &KubeletConfig, ground: &Ground, from: Weight) -> Vec<String> {
    preflight(config, ground).iter().filter(|f| f.severity >= from).map(|f| format!("{} {}", f.code, f.path)).collect()
}

#[test]
fn every_rule_has_one_code_and_says_what_it_means() {
    let mut seen = BTreeSet::new();
    for rule in catalogue() {
        assert!(seen.insert(rule.code), "{} twice", rule.code);
        assert!(rule.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.code);
        assert!(!rule.meaning.is_empty() && !rule.meaning.ends_with('.'), "{}", rule.code);
    }
}

#[test]
fn a_plain_file_has_nothing_but_advice() {
    for minor in 28..=37 {
        let file = config("kubeReserved: {cpu: 70m, memory: 574Mi, ephemeral-storage: 1Gi}\nmaxPods: 29", &[], &[]);
        assert_eq!(codes(&file, &ground(minor), Weight::Warning), Vec::<String>::new(), "1.{minor}");
    }
}

#[test]
fn names_what_kubelet_passes_over() {
    let file = config(
        "kubeReservd: {}\nMaxPods: 5\nauthentication: {anonymos: {}}\nmemoryReservationPolicy: None\nmaxPods: 1\nmaxPods: 2",
        &[],
        &[],
    );
    assert_eq!(
        codes(&file, &ground(30), Weight::Warning),
        [
            "unknown-field kubeReservd",
            "unknown-field authentication.anonymos",
            "field-case MaxPods",
            "field-version memoryReservationPolicy",
            "duplicate-key maxPods"
        ]
    );
    let found = preflight(&file, &ground(30));
    assert!(found.iter().any(|f| f.expected.contains("the nearest is kubeReserved")));
    assert!(found.iter().any(|f| f.expected.contains("kubelet 1.36 and later")));
}

#[test]
fn a_version_that_is_not_known_is_never_held_against_a_file() {
    let file = config(
        "enforceNodeAllocatable: [pods, kube-reserved-compressible]\nkubeReservedCgroup: /x\nkubeReserved: {cpu: 1}",
        &[],
        &[],
    );
    let unknown = Ground { version: None, ..ground(36) };
    assert!(codes(&file, &unknown, Weight::Fatal).iter().all(|code| code.starts_with("wrong-type")));
    let found = preflight(&file, &unknown);
    let compressible = found.iter().find(|f| f.code == "enforce-value").expect("a warning");
    assert!(compressible.severity == Weight::Warning && compressible.expected.contains("1.28 to 1.31"));
    assert!(found.iter().any(|f| f.code == "unchecked" && f.severity == Weight::Advice));
}

#[test]
fn a_flag_that_replaces_a_map_is_named_with_what_is_lost() {
    let file = config("kubeReserved: {cpu: 70m, memory: 574Mi}", &[], &["--kube-reserved=memory=1Gi"]);
    let found = preflight(&file, &ground(36));
    let finding = found.iter().find(|f| f.code == "flag-overrides").expect("flag-overrides");
    assert!(finding.found.contains("cpu is gone"), "{finding}");
}

#[test]
fn cgroups_are_judged_only_when_looked_at() {
    let text = "enforceNodeAllocatable: [pods, kube-reserved]\nkubeReservedCgroup: /a.slice/b-c.slice\nkubeReserved: {cpu: 70m}";
    let file = config(text, &[], &[]);
    assert_eq!(codes(&file, &ground(36), Weight::Fatal), Vec::<String>::new());
    assert!(cgroups_to_look_at(&file).contains("/b.slice/b-c.slice"));
    let mut seen = ground(36);
    seen.systemd_cgroups = Some(true);
    seen.cgroups.insert("/b.slice/b-c.slice".to_owned(), None);
    assert_eq!(codes(&file, &seen, Weight::Fatal), ["enforced-cgroup-missing kubeReservedCgroup"]);
    let set = |words: &str| Some(words.split(' ').map(str::to_owned).collect());
    seen.cgroups.insert("/".to_owned(), set("cpu memory pids"));
    seen.cgroups.insert("/b.slice/b-c.slice".to_owned(), set("cpu memory"));
    assert_eq!(codes(&file, &seen, Weight::Fatal), ["enforced-cgroup-controllers kubeReservedCgroup"]);
    assert!(codes(&file, &seen, Weight::Warning).contains(&"cgroup-name kubeReservedCgroup".to_owned()));
}

#[test]
fn an_earlier_run_binds() {
    let static_cpu = "cpuManagerPolicy: static\nreservedSystemCPUs: '1'";
    let state = |default: &str| CpuManagerState {
        file: "state".to_owned(),
        policy: "static".to_owned(),
        default_cpus: default.parse().unwrap(),
        assigned_cpus: "1".parse().unwrap(),
    };
    let with = |state| Ground { cpu_manager_state: Some(state), ..ground(36) };
    let fatal = |text: &str, ground: &Ground| codes(&config(text, &[], &[]), ground, Weight::Fatal);
    assert_eq!(fatal(static_cpu, &with(state("0"))), ["cpu-manager-state reservedSystemCPUs"]);
    assert_eq!(fatal(static_cpu, &with(state("0-1"))), Vec::<String>::new());
    assert_eq!(fatal("", &with(state("0-1"))), ["cpu-manager-state cpuManagerPolicy"]);
    let memory = MemoryManagerState {
        file: "state".to_owned(),
        policy: "Static".to_owned(),
        system_reserved: BTreeMap::from([(0, 1 << 30)]),
    };
    let ground = Ground { memory_manager_state: Some(memory), ..ground(36) };
    let text = |size: &str| {
        format!(
            "memoryManagerPolicy: Static\nevictionHard: {{memory.available: 1Mi}}\nkubeReserved: {{memory: 1023Mi}}\nreservedMemory: [{{numaNode: 0, limits: {{memory: {size}}}}}]"
        )
    };
    assert_eq!(fatal(&text("1Gi"), &ground), Vec::<String>::new());
    assert_eq!(
        fatal(&text("1025Mi"), &ground),
        ["reserved-memory-sum reservedMemory", "memory-manager-state reservedMemory"]
    );
}

#[test]
fn what_no_kubelet_of_the_matrix_can_show() {
    let fatal = |text: &str, ground: &Ground| codes(&config(text, &[], &[]), ground, Weight::Fatal);
    let v1 = |minor| Ground { cgroup_version: Some(1), ..ground(minor) };
    assert_eq!(fatal("", &v1(34)), Vec::<String>::new());
    assert_eq!(fatal("", &v1(35)), ["cgroup-v1 failCgroupV1"]);
    assert_eq!(fatal("failCgroupV1: true", &v1(31)), ["cgroup-v1 failCgroupV1"]);
    let limited = "failSwapOn: false\nmemorySwap: {swapBehavior: LimitedSwap}";
    assert_eq!(fatal(limited, &v1(30)), ["swap-needs-cgroup-v2 memorySwap.swapBehavior"]);
    assert_eq!(fatal(limited, &Ground { swap_on: Some(true), ..ground(30) }), Vec::<String>::new());
    assert_eq!(fatal("", &Ground { swap_on: Some(true), ..ground(30) }), ["swap-on failSwapOn"]);
    let sysctls = "defaultPodSysctls: {net.core.somaxconn: '1024'}";
    assert_eq!(fatal(sysctls, &ground(37)), ["default-pod-sysctls defaultPodSysctls"]);
    let gate = "\nfeatureGates: {DefaultPodSysctls: true}";
    assert_eq!(fatal(&format!("{sysctls}{gate}"), &ground(37)), Vec::<String>::new());
    let host_wide = format!("defaultPodSysctls: {{vm.swappiness: '1'}}{gate}");
    assert_eq!(fatal(&host_wide, &ground(37)), ["default-pod-sysctls defaultPodSysctls.vm.swappiness"]);
}

proptest::proptest! {
    /// Any value under any field, in any version, is judged and not stumbled over.
    #[test]
    fn no_value_makes_a_rule_panic(
        at in 0..200_usize,
        value in "([-+]?[0-9]{1,20}(\\.[0-9]*)?(Gi|m|s|h|%|[a-zµ]{0,2})?|[a-z:/.*,-]{0,12}|null|true|\"\\PC{0,8}\"|'0-3,,'|\\[(0|a|null|\\{a: 1\\})?\\]|\\{(cpu|memory.available|a): (1|-1s|''|101%|null)\\})",
        minor in 28_u16..=38,
        drop_in in proptest::bool::ANY,
    ) {
        let field = crate::kubelet::tables::fields().nth(at).map_or("maxPods", |field| field.path);
        let indented = field.replace("[]", "").split('.').enumerate().map(|(depth, name)| format!("\n{}{name}:", "  ".repeat(depth))).collect::<String>();
        let text = format!("{HEAD}{indented} {value}\n");
        let Ok(node) = parse("f", text.as_bytes()) else { return Ok(()) };
        let file = ConfigFile { path: "f".to_owned(), node };
        let config = if drop_in {
            KubeletConfig { drop_ins: vec![file.clone()], main: Some(file), flags: Flags::default() }
        } else {
            KubeletConfig { main: Some(file), ..KubeletConfig::default() }
        };
        for finding in preflight(&config, &ground(minor)) {
            proptest::prop_assert!(!finding.expected.is_empty() && !finding.action.is_empty() && !finding.found.is_empty(), "{}", finding);
        }
    }
}

#[test]
fn the_resolvers_file_is_judged_for_pods() {
    let found = |text: &str, main: &str| {
        let ground = Ground { resolver: Some(Resolver::parse(text)), ..ground(33) };
        let of_resolver = |finding: &Complaint| finding.code.starts_with("resolver");
        preflight(&config(main, &[], &[]), &ground).into_iter().filter(of_resolver).collect::<Vec<_>>()
    };
    let plain = "# x\nnameserver 10.0.0.2\nsearch eu-west-1.compute.internal\noptions ndots:1\n";
    assert_eq!(found(plain, ""), []);
    let stub = found("nameserver 127.0.0.53\n", "");
    assert_eq!(stub.iter().map(|one| one.code).collect::<Vec<_>>(), ["resolver-loopback"]);
    assert!(stub.iter().all(|one| one.found == "nameserver 127.0.0.53 in /etc/resolv.conf"), "{stub:?}");
    assert!(found("nameserver ::1\n", "resolvConf: /run/r").iter().all(|one| one.found.ends_with("in /run/r")));
    let four = found("nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n", "");
    assert!(four.iter().any(|one| one.code == "resolver-nameservers" && one.found.contains("4.4.4.4")), "{four:?}");
    // Three of the cluster, three of the node and the name itself, for A and AAAA.
    let (three, dns) = ("search a.example b.example\nsearch a b c\noptions ndots:2\n", "clusterDNS: [10.100.0.10]");
    let costly = found(three, dns);
    let of =
        |code: &str| costly.iter().find(|one| one.code == code).map(|one| one.expected.clone()).unwrap_or_default();
    let pods = of("resolver-searches");
    assert!(
        pods.contains("get ndots:5 from kubelet, whatever options this file has, and ask up to 14 times"),
        "{pods}"
    );
    assert!(pods.contains("are 73 such"), "{pods}");
    // The file's own number is that of those who get the file.
    let others = of("resolver-options");
    assert!(others.starts_with("ndots:1: pods with dnsPolicy Default (others get ndots:5"), "{others}");
    assert!(
        others.contains("up to 8 times for a name with fewer than 2 dots") && others.contains("some 10 s"),
        "{others}"
    );
    let bare =
        found("nameserver a\nnameserver b\nsearch x\noptions timeout:2 attempts:9 rotate\noptions ndots:99\n", "");
    assert_eq!(bare.len(), 1, "{bare:?}");
    let one = &bare[0].expected;
    assert!(
        one.starts_with("ndots:1: all pods, since kubelet knows no cluster DNS, and") && one.contains("15 dots"),
        "{one}"
    );
    assert!(one.contains("some 20 s for each (timeout 2 s, 5 attempts)"), "{one}");
    assert_eq!(found("search a b c\noptions ndots:x edns0\n", ""), [], "ndots stays 1");
    assert_eq!(found("nameserver a\noptions ndots:5\n", dns), [], "nothing to search");
    let many = format!("search {}\n", "x.example ".repeat(40));
    assert!(found(&many, "").iter().any(|one| one.found.starts_with("40 search domains")));
    assert!(!found("domain a\nsearch .\nnameserver\n", "").iter().any(|one| one.code != "resolver-searches"));
}
