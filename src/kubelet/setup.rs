//! How kubelet is set up on this machine: layout, main file, drop-ins, flags, nodeadm's user data, and what an earlier run of ours left.
//! It refuses to mistake our own earlier values for somebody's choice.

use std::path::{Path, PathBuf};

use super::config::{ConfigFile, KubeletConfig, parse};
use super::flags::Flags;
use super::record::{self, Record};
use super::render;
use super::rules::{Layout, Rules};
use super::{PlaceError, service};
use crate::host::{Host, HostResult};
use crate::model::Node;
use crate::model::machine::Identity;

/// A kubelet configuration has a few KiB; more than this is something else.
pub const MOST_BYTES: u64 = 4 << 20;
/// Where nodeadm looks for fragments.
const NODEADM_DIR: &str = "/etc/eks/nodeadm.d";
/// Our fragment there.
const FRAGMENT: &str = "/etc/eks/nodeadm.d/50-node-steward.yaml";
/// nodeadm's resolved configuration, written before its run phase.
const NODEADM_CACHE: &str = "/run/eks/nodeadm/config.json";
const AL2_MAIN: &str = "/etc/kubernetes/kubelet/kubelet-config.json";
const AL2023_MAIN: &str = "/etc/kubernetes/kubelet/config.json";
const KUBEADM_MAIN: &str = "/var/lib/kubelet/config.yaml";
/// Where kubeadm nodes get their drop-ins, once kubelet is told to read them.
const KUBEADM_DROP_INS: &str = "/etc/kubernetes/kubelet.conf.d";

/// What our drop-ins' names end in.
pub const OUR_ENDING: &str = "-node-steward.conf";
/// The directory that nodeadm gives kubelet when user data sets kubelet's configuration.
const AL2023_DROP_INS: &str = "/etc/kubernetes/kubelet/config.json.d";

/// A file that an earlier run of ours wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Ours {
    /// Where.
    pub path: PathBuf,
    /// The kubelet fields in it.
    pub fields: Node,
    /// The machine that it was made for, where it says so.
    pub machine: Option<Identity>,
}

/// Everything that decides where and what to write.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How this image configures kubelet.
    pub layout: Layout,
    /// The main file's path, whether it is there yet or not.
    pub main: Option<PathBuf>,
    /// The directory of `--config-dir`, where kubelet is started with it.
    pub config_dir: Option<PathBuf>,
    /// The directory that a drop-in would go to.
    pub drop_in_dir: Option<PathBuf>,
    /// What others have set: main file, their drop-ins, user data, flags; without what we once wrote.
    pub others: KubeletConfig,
    /// What kubelet would read as things stand, our own files included.
    pub present: KubeletConfig,
    /// Our own earlier files.
    pub ours: Vec<Ours>,
    /// kubelet's `--root-dir`.
    pub kubelet_root: PathBuf,
    /// nodeadm's maxPodsExpression.
    pub max_pods_expression: Option<String>,
    /// The instance type that nodeadm has asked for already.
    pub instance_type: Option<String>,
}

/// Looks at the machine. A main file, drop-in or cache that cannot be read or understood is an error: nothing is judged without it.
pub fn find(host: &Host, rules: &Rules) -> Result<Setup, PlaceError> {
    if let Some(dir) = rules.drop_in.as_deref().filter(|dir| !dir.is_absolute()) {
        return Err(PlaceError::NoLayout(format!(
            "[kubelet] drop_in = {:?}: expected an absolute path",
            dir.display().to_string()
        )));
    }
    let service = service::read(host)?;
    let flags = match &service {
        Some(service) => Flags::parse(&service.place(), service.arguments.iter().cloned()),
        None => Flags::default(),
    };
    let flag = |name: &str| flag_of(&flags, name);
    let layout = match rules.layout {
        Some(layout) => layout,
        None => detect(host, &flags, rules).ok_or_else(|| PlaceError::NoLayout(no_layout()))?,
    };
    let main = flag("config").or_else(|| default_main(layout).map(PathBuf::from));
    let config_dir = flag("config-dir");
    let drop_in_dir = rules
        .drop_in
        .clone()
        .or_else(|| config_dir.clone())
        .or_else(|| (layout == Layout::Kubeadm).then(|| PathBuf::from(KUBEADM_DROP_INS)));
    let cache = match layout {
        Layout::EksAl2023 => read_document(host, Path::new(NODEADM_CACHE))?,
        _ => None,
    };
    let ours = our_files(host, drop_in_dir.as_deref())?;
    let mut drop_ins = Vec::new();
    if let Some(dir) = drop_in_dir.as_deref() {
        for path in conf_files(host, dir)? {
            drop_ins.extend(read_document(host, &path)?);
        }
    }
    let main_file = main.as_deref().map(|path| read_document(host, path)).transpose()?.flatten();
    let present = KubeletConfig { main: main_file, drop_ins, flags };
    let in_cache = |path: [&str; 3]| {
        let node = path.iter().try_fold(&cache.as_ref()?.node, |node, key| node.get(key))?;
        node.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Ok(Setup {
        max_pods_expression: in_cache(["spec", "kubelet", "maxPodsExpression"]),
        instance_type: in_cache(["status", "instance", "type"]),
        others: without_ours(&present, &ours, cache.as_ref().and_then(user_data), record::read(host)?.as_ref()),
        kubelet_root: flag_of(&present.flags, "root-dir").unwrap_or_else(|| PathBuf::from("/var/lib/kubelet")),
        present,
        layout,
        main,
        config_dir,
        drop_in_dir,
        ours,
    })
}

/// What others have set: our own files left out, our values taken back out of the main file and out of nodeadm's copies of our fragment.
fn without_ours(
    present: &KubeletConfig,
    ours: &[Ours],
    user_data: Option<ConfigFile>,
    record: Option<&Record>,
) -> KubeletConfig {
    let mut others = present.clone();
    others.drop_ins.retain(|file| ours.iter().all(|mine| mine.path != Path::new(&file.path)));
    others.drop_ins.extend(user_data);
    for mine in ours {
        others.drop_ins.iter_mut().for_each(|file| subtract(&mut file.node, &mine.fields));
    }
    // A copy of our fragment and nothing else is nobody's choice.
    others.drop_ins.retain(|file| file.node.entries().iter().any(|(key, _)| key != "apiVersion" && key != "kind"));
    if let (Some(main), Some(record)) =
        (&mut others.main, record.filter(|record| Some(&record.file) == present.main.as_ref().map(|main| &main.path)))
    {
        let undo = record.undo(&main.node);
        main.node.merge_patch(&undo);
    }
    others
}

/// A setup that has only what the caller names: a base file or none, and perhaps a directory of drop-ins.
pub fn stand_alone(host: &Host, base: Option<&Path>, drop_in_dir: Option<&Path>) -> Result<Setup, PlaceError> {
    let main = match base {
        Some(path) => Some(read_document(host, path)?.ok_or_else(|| PlaceError::NoBase(path.to_owned()))?),
        None => None,
    };
    let mut setup = Setup { main: base.map(Path::to_owned), ..Setup::imagined(main) };
    if let Some(dir) = drop_in_dir {
        for path in conf_files(host, dir)? {
            setup.present.drop_ins.extend(read_document(host, &path)?);
        }
        setup.ours = our_files_in(host, dir)?;
        setup.others = without_ours(&setup.present, &setup.ours, None, None);
        setup.config_dir = Some(dir.to_owned());
        setup.drop_in_dir = Some(dir.to_owned());
    }
    Ok(setup)
}

impl Setup {
    /// A kubelet that is nowhere on this machine, with this main file.
    pub fn imagined(main: Option<ConfigFile>) -> Self {
        let config = KubeletConfig { main, drop_ins: Vec::new(), flags: Flags::default() };
        Self {
            layout: Layout::StandAlone,
            main: None,
            config_dir: None,
            drop_in_dir: None,
            present: config.clone(),
            others: config,
            ours: Vec::new(),
            kubelet_root: PathBuf::from("/var/lib/kubelet"),
            max_pods_expression: None,
            instance_type: None,
        }
    }

    /// Whether the platform's own formula has put this value into the main file, so that it is no one's choice and ours replaces it.
    /// kubeadm and others pass on what an administrator wrote, as does a `--config` at another place: that stays.
    pub fn is_computed(&self, path: &str, value: &Node) -> bool {
        let at_its_place = match self.layout {
            Layout::EksAl2 | Layout::EksAl2023 => self.main.as_deref() == default_main(self.layout).map(Path::new),
            Layout::StandAlone => true,
            Layout::DropIn | Layout::Kubeadm => false,
        };
        let field = path.split('.').next().unwrap_or_default();
        at_its_place
            && match field {
                "kubeReserved" | "kubeReservedCgroup" | "systemReservedCgroup" => true,
                // nodeadm and bootstrap.sh write these three and no others.
                "evictionHard" => [
                    ("evictionHard.memory.available", "100Mi"),
                    ("evictionHard.nodefs.available", "10%"),
                    ("evictionHard.nodefs.inodesFree", "5%"),
                ]
                .contains(&(path, value.as_str().unwrap_or_default())),
                _ => false,
            }
    }

    /// Whether nothing of it was found on the machine.
    pub fn is_imagined(&self) -> bool {
        self.layout == Layout::StandAlone && self.main.is_none() && self.drop_in_dir.is_none()
    }

    /// Whether the changes are merged into the main file itself.
    pub fn changes_the_main_file(&self) -> bool {
        match self.layout {
            Layout::EksAl2 => true,
            Layout::StandAlone => self.drop_in_dir.is_none(),
            Layout::EksAl2023 | Layout::DropIn | Layout::Kubeadm => false,
        }
    }
}

fn flag_of(flags: &Flags, name: &str) -> Option<PathBuf> {
    flags.last(name).map(|flag| PathBuf::from(&flag.value))
}

/// Whether kubelet has made its cgroup for pods in this boot: it has started, and pods may run under its limits.
pub fn kubelet_has_started(host: &Host) -> bool {
    const KUBEPODS: [&str; 4] = [
        "/sys/fs/cgroup/kubepods.slice",
        "/sys/fs/cgroup/kubepods",
        "/sys/fs/cgroup/memory/kubepods.slice",
        "/sys/fs/cgroup/memory/kubepods",
    ];
    KUBEPODS.iter().any(|path| host.exists(Path::new(path)))
}

/// The directory that kubelet's unit names, as far as the unit can be read; for cleaning up after a failure.
pub fn config_dir_of_unit(host: &Host) -> Option<PathBuf> {
    let service = service::read(host).ok()??;
    flag_of(&Flags::parse(&service.place(), service.arguments.iter().cloned()), "config-dir")
}

fn detect(host: &Host, flags: &Flags, rules: &Rules) -> Option<Layout> {
    // What cannot be looked at (a link to itself, no permission) is there: reading it will say what is wrong with it.
    let any =
        |paths: &[&str]| paths.iter().any(|path| host.facts(Path::new(path)).map_or(true, |facts| facts.is_some()));
    // bootstrap.sh on AL2023 is a stub that only prints an error, so nodeadm's traces come first.
    if any(&["/usr/bin/nodeadm", NODEADM_DIR, AL2023_MAIN]) {
        Some(Layout::EksAl2023)
    } else if any(&[AL2_MAIN, "/etc/eks/bootstrap.sh"]) {
        Some(Layout::EksAl2)
    } else if any(&[KUBEADM_MAIN, "/etc/kubernetes/kubelet.conf", "/usr/bin/kubeadm"])
        || flags.last("config").is_some_and(|flag| flag.value == KUBEADM_MAIN)
    {
        Some(Layout::Kubeadm)
    } else if flags.last("config-dir").is_some() || rules.drop_in.is_some() {
        Some(Layout::DropIn)
    } else {
        None
    }
}

fn no_layout() -> String {
    format!(
        "found neither nodeadm, {AL2_MAIN}, {KUBEADM_MAIN} nor a kubelet.service with --config-dir; \
         name the layout with --layout or [kubelet] layout (one of {}), or give --out FILE",
        Layout::ALL.map(Layout::name).join(", ")
    )
}

fn default_main(layout: Layout) -> Option<&'static str> {
    match layout {
        Layout::EksAl2 => Some(AL2_MAIN),
        Layout::EksAl2023 => Some(AL2023_MAIN),
        Layout::Kubeadm => Some(KUBEADM_MAIN),
        Layout::DropIn | Layout::StandAlone => None,
    }
}

/// Our fragment's path.
pub fn fragment_path() -> &'static Path {
    Path::new(FRAGMENT)
}

/// Reads and parses one file; nothing where there is none.
pub fn read_document(host: &Host, path: &Path) -> Result<Option<ConfigFile>, PlaceError> {
    let name = path.display().to_string();
    match host.read(path, MOST_BYTES)? {
        Some(bytes) => {
            let node = parse(&name, &bytes).map_err(|finding| PlaceError::Document(Box::new(finding)))?;
            Ok(Some(ConfigFile { path: name, node }))
        }
        None => Ok(None),
    }
}

/// The files that kubelet reads in a directory: those that end in `.conf`, at any depth.
fn conf_files(host: &Host, dir: &Path) -> HostResult<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in host.list(dir)?.unwrap_or_default() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            files.extend(conf_files(host, &path)?);
        } else if entry.name.ends_with(".conf") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The drop-in and the fragment of an earlier run. One that cannot be understood counts as made for no machine.
/// Besides the directory in use, those that the layouts know are looked at.
pub fn our_files(host: &Host, drop_in_dir: Option<&Path>) -> HostResult<Vec<Ours>> {
    let mut dirs: Vec<&Path> = vec![Path::new(AL2023_DROP_INS), Path::new(KUBEADM_DROP_INS)];
    dirs.extend(
        drop_in_dir.filter(|dir| ![AL2023_DROP_INS, KUBEADM_DROP_INS].iter().any(|known| Path::new(known) == *dir)),
    );
    let mut ours: Vec<Ours> = our_file(host, PathBuf::from(FRAGMENT))?.into_iter().collect();
    for dir in dirs {
        ours.extend(our_files_in(host, dir)?);
    }
    Ok(ours)
}

fn our_files_in(host: &Host, dir: &Path) -> HostResult<Vec<Ours>> {
    let mut ours = Vec::new();
    for entry in host.list(dir)?.unwrap_or_default() {
        if entry.name.ends_with(OUR_ENDING) {
            ours.extend(our_file(host, dir.join(&entry.name))?);
        }
    }
    Ok(ours)
}

fn our_file(host: &Host, path: PathBuf) -> HostResult<Option<Ours>> {
    let Some(bytes) = host.read(&path, MOST_BYTES)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let node = parse(&path.display().to_string(), &bytes).unwrap_or(Node::Null);
    let fields = node.get("spec").and_then(|spec| spec.get("kubelet")?.get("config")).unwrap_or(&node);
    let fields = fields.entries().iter().filter(|(key, _)| key != "apiVersion" && key != "kind").cloned();
    Ok(Some(Ours { fields: Node::Map(fields.collect()), machine: render::made_for(&text), path }))
}

/// What user data set under spec.kubelet.config, as if it were a file of its own.
fn user_data(cache: &ConfigFile) -> Option<ConfigFile> {
    let mut node =
        cache.node.get("spec")?.get("kubelet")?.get("config").filter(|node| !node.entries().is_empty())?.clone();
    // nodeadm adds the two itself when it writes this as a drop-in.
    for (key, value) in [("apiVersion", "kubelet.config.k8s.io/v1beta1"), ("kind", "KubeletConfiguration")] {
        if node.get(key).is_none() {
            node.set(key, Node::from(value));
        }
    }
    Some(ConfigFile { path: format!("{NODEADM_CACHE} (user data)"), node })
}

/// Takes out of `node` what `ours` holds with the same value.
fn subtract(node: &mut Node, ours: &Node) {
    let Node::Map(entries) = node else { return };
    entries.retain_mut(|(key, value)| match (ours.get(key), &mut *value) {
        (Some(mine @ Node::Map(_)), inner @ Node::Map(_)) => {
            subtract(inner, mine);
            !inner.entries().is_empty()
        }
        (Some(mine), inner) => mine != inner,
        (None, _) => true,
    });
}
