//! What may wait for a disk for ever: asked by probe children, one request each, or directly where the machine is a recording.
//! It refuses to ask again what is still unanswered.

mod question;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{allowances, image, journal, logging, nvme, pods, units};
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{
    Allowances, Answer, Dev, Image, Journal, KernelLog, Logging, Mount, NvmeModel, Place, PodName, Sampled, Samples,
    Thresholds, UnitState, Wants,
};

pub use super::nvme::Pages;
pub use question::{Request, Response};

/// The node's own directories, and Amazon's pages.
const OFTEN_MS: u64 = 10_000;
/// Other mount points, health pages, names of pods and containers, the journal's counts.
const SELDOM_MS: u64 = 60_000;
/// Syslog daemons and who reads their files.
const MINUTES_MS: u64 = 120_000;
/// kubelet's configuration.
const HOURLY_MS: u64 = 3_600_000;
/// Mount points of others that are asked in one turn: a node may have hundreds of volumes.
const MOST_MOUNTS_A_TURN: usize = 64;

/// Directories that the node lives in; kubelet's may lie elsewhere.
const OWN: [(&str, &str); 7] = [
    ("root", "/"),
    ("kubelet", "/var/lib/kubelet"),
    ("runtime", "/var/lib/containerd"),
    ("runtime", "/var/lib/containers"),
    ("runtime", "/var/lib/docker"),
    ("logs", "/var/log"),
    ("pod logs", "/var/log/pods"),
];
/// The role of all other mount points.
const OTHERS: &str = "mount";
/// File systems without a block device number of their own that may wait for a disk, a network or a program.
const MAY_WAIT: [&str; 12] =
    ["btrfs", "zfs", "bcachefs", "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "lustre", "glusterfs", "virtiofs"];
/// Images: always full, never written.
const IMAGES: [&str; 4] = ["squashfs", "iso9660", "erofs", "cramfs"];

/// What is asked more often while somebody is to be named.
const NAMES: [Request; 2] = [Request::PodNames, Request::Containers];

/// Answers questions, in a probe child. `thresholds` is what the caller knows of kubelet's configuration.
pub fn answer(host: &Host, requests: &[Request], thresholds: impl Fn(&Host) -> Reading<Thresholds>) -> Vec<Response> {
    let mut waited = BTreeSet::new();
    requests.iter().map(|request| answer_one(host, request, &thresholds, &mut waited)).collect()
}

/// `waited` holds the disks that have been asked: several directories of one disk are no reason to ask it twice.
fn answer_one(
    host: &Host,
    request: &Request,
    thresholds: &impl Fn(&Host) -> Reading<Thresholds>,
    waited: &mut BTreeSet<Dev>,
) -> Response {
    match request {
        Request::Look { path, role } => {
            let answer = host.look(Path::new(path));
            // What is at a directory, memory knows: only the disk can say that it is there. A pod's own disk is not asked.
            if role != OTHERS
                && let Answer::Looked { dev, .. } = &answer
                && waited.insert(*dev)
            {
                host.wait_for_disk(*dev);
            }
            Response::Looked(answer)
        }
        Request::PodNames => Response::PodNames(pods::read(host)),
        Request::Containers => Response::Containers(pods::ask(host)),
        Request::Nvme { controller } => Response::Nvme(nvme::ask(host, controller)),
        Request::Thresholds => Response::Thresholds(thresholds(host)),
        Request::Image => Response::Image(image::read(host)),
        Request::Logging => Response::Logging(logging::read(host)),
        Request::Allowances => Response::Allowances(allowances::read(host)),
        Request::Units => Response::Units(units::read(host)),
        Request::Journal => Response::Journal(journal::read(host)),
    }
}

/// What came through the guard since the last turn; nothing new leaves the samples as they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Guarded {
    /// All places that are known.
    pub(super) places: Option<Vec<Place>>,
    /// New pages, by controller.
    pub(super) pages: Vec<(String, Pages)>,
    /// Names of pods.
    pub(super) names: Option<Reading<Vec<PodName>>>,
    /// Names of running containers, with their pods'.
    pub(super) containers: Option<Reading<Vec<PodName>>>,
    /// kubelet's thresholds.
    pub(super) thresholds: Option<Reading<Thresholds>>,
    /// What is installed.
    pub(super) image: Option<Reading<Image>>,
    /// Who writes logs.
    pub(super) logging: Option<Reading<Logging>>,
    /// What interfaces count.
    pub(super) allowances: Option<Reading<Vec<Allowances>>>,
    /// How units are.
    pub(super) units: Option<Reading<Vec<UnitState>>>,
    /// The journal's counts.
    pub(super) journal: Option<Reading<Journal>>,
    /// New records of the kernel's log.
    pub kernel_log: KernelLog,
}

/// What was asked, what is outstanding, and what came.
#[derive(Debug, Default)]
pub struct Pending {
    own: Vec<(String, String)>,
    asked: BTreeMap<Request, Mono>,
    outstanding: BTreeSet<Request>,
    places: BTreeMap<String, Place>,
    came: Guarded,
    places_changed: bool,
}

impl Pending {
    /// Nothing asked yet. `kubelet_root` is kubelet's `--root-dir`.
    pub fn new(kubelet_root: &str) -> Self {
        let path = |role: &str, path: &str| if role == "kubelet" { kubelet_root.to_owned() } else { path.to_owned() };
        Self { own: OWN.iter().map(|(role, at)| ((*role).to_owned(), path(role, at))).collect(), ..Self::default() }
    }

    /// Everything is due at once.
    pub fn ask_again(&mut self) {
        self.asked.clear();
    }

    /// What is due now; it counts as outstanding until it is answered or refused.
    pub fn due(&mut self, samples: &Samples, at: Mono, wants: Wants) -> Vec<Request> {
        let mut due = Vec::new();
        let mut others = Vec::new();
        let all = self.all(samples, wants);
        // Without the tables nobody knows what is gone.
        if samples.mounts.value().is_some() {
            self.forget(&all);
        }
        self.expect(&all);
        for (request, every) in all {
            let asked = self.asked.get(&request);
            if self.outstanding.contains(&request) || asked.is_some_and(|asked| at.since_ms(*asked) < every) {
                continue;
            }
            match &request {
                Request::Look { role, .. } if role == OTHERS => others.push((asked.copied(), request)),
                _ => due.push(request),
            }
        }
        // Those that waited longest come first; the rest in the next turns.
        others.sort();
        due.extend(others.into_iter().take(MOST_MOUNTS_A_TURN).map(|(_, request)| request));
        for request in &due {
            self.asked.insert(request.clone(), at);
            self.outstanding.insert(request.clone());
        }
        due
    }

    /// Everything that could be asked, and how often.
    fn all(&self, samples: &Samples, wants: Wants) -> Vec<(Request, u64)> {
        let look = |path: &str, role: &str| Request::Look { path: path.to_owned(), role: role.to_owned() };
        let mut all: Vec<_> = self.own.iter().map(|(role, path)| (look(path, role), OFTEN_MS)).collect();
        let mounts = samples.mounts.value().map_or(&[][..], Vec::as_slice);
        let own = |point: &str| self.own.iter().any(|(_, path)| path == point);
        all.extend(mount_points(mounts).into_iter().filter(|point| !own(point)).map(|p| (look(p, OTHERS), SELDOM_MS)));
        for controller in samples.nvme.value().map_or(&[][..], Vec::as_slice) {
            let every = if controller.model == NvmeModel::Other { SELDOM_MS } else { OFTEN_MS };
            all.push((Request::Nvme { controller: controller.name.clone() }, every));
        }
        // Also while nobody is to be named: when a disk hangs it is too late to begin, and what takes the answers is locked with the rest.
        let soon = wants.contributors || matches!(samples.names.reading, Reading::Failed { .. });
        let names_ms = if soon { SELDOM_MS } else { HOURLY_MS };
        all.extend(NAMES.map(|request| (request, names_ms)));
        all.push((Request::Thresholds, hourly(&samples.thresholds)));
        all.push((Request::Image, hourly(&samples.image)));
        all.push((Request::Logging, MINUTES_MS));
        all.push((Request::Journal, seldom(&samples.journal)));
        all.push((Request::Allowances, seldom(&samples.allowances)));
        all.push((Request::Units, seldom(&samples.units)));
        all
    }

    /// Lets go of mount points and controllers that are no more.
    fn forget(&mut self, all: &[(Request, u64)]) {
        let there: BTreeSet<&Request> = all.iter().map(|(request, _)| request).collect();
        self.asked.retain(|request, _| there.contains(request));
        let outstanding = &self.outstanding;
        let before = self.places.len();
        self.places.retain(|path, place| {
            let request = Request::Look { path: path.clone(), role: place.role.clone() };
            there.contains(&request) || outstanding.contains(&request)
        });
        self.places_changed |= before != self.places.len();
    }

    /// A directory that nobody has answered about yet is known to be one: after a restart, what was found there before must not seem to be over.
    fn expect(&mut self, all: &[(Request, u64)]) {
        for (request, _) in all {
            if let Request::Look { path, role } = request
                && !self.places.contains_key(path)
            {
                self.place(path, role, Answer::NotAsked { why: "no probe has answered yet".to_owned() });
            }
        }
    }

    /// A probe has answered.
    pub fn answered(&mut self, request: &Request, response: Response) {
        self.outstanding.remove(request);
        match (request, response) {
            (Request::Look { path, role }, Response::Looked(answer)) => self.place(path, role, answer),
            (Request::PodNames, Response::PodNames(names)) => self.came.names = Some(names),
            (Request::Containers, Response::Containers(names)) => self.came.containers = Some(names),
            (Request::Nvme { controller }, Response::Nvme(pages)) => self.came.pages.push((controller.clone(), pages)),
            (Request::Thresholds, Response::Thresholds(thresholds)) => self.came.thresholds = Some(thresholds),
            (Request::Image, Response::Image(image)) => self.came.image = Some(image),
            (Request::Logging, Response::Logging(logging)) => self.came.logging = Some(logging),
            (Request::Allowances, Response::Allowances(all)) => self.came.allowances = Some(all),
            (Request::Units, Response::Units(units)) => self.came.units = Some(units),
            (Request::Journal, Response::Journal(journal)) => self.came.journal = Some(journal),
            (request, _) => {
                self.not_asked(request, "the probe answered another question; this is a bug of node-steward")
            }
        }
    }

    /// Something was mounted or unmounted since these were asked in one go: nobody knows at which of them it hangs, and each is asked where it is now.
    pub fn ask_apart(&mut self, requests: &[Request]) {
        for request in requests {
            self.asked.remove(request);
            self.not_asked(request, "what is mounted there has changed since it was asked");
        }
    }

    /// A probe has not answered for so long; it may still.
    pub fn stuck(&mut self, request: &Request, for_ms: u64) {
        self.outstanding.insert(request.clone());
        match request {
            Request::Look { path, role } => self.place(path, role, Answer::Stuck { for_ms }),
            other => self.unknown(other, &format!("no answer for {} s", for_ms / 1000)),
        }
    }

    /// Nobody could be asked: no probe was free, or the last one was lost.
    pub fn not_asked(&mut self, request: &Request, why: &str) {
        self.outstanding.remove(request);
        match request {
            Request::Look { path, role } => self.place(path, role, Answer::NotAsked { why: why.to_owned() }),
            other => self.unknown(other, why),
        }
    }

    fn unknown(&mut self, request: &Request, why: &str) {
        match request {
            Request::Look { .. } => {}
            Request::PodNames => self.came.names = Some(Reading::failed(why)),
            Request::Containers => self.came.containers = Some(Reading::failed(why)),
            Request::Nvme { controller } => self.came.pages.push((controller.clone(), Pages::failed(why))),
            Request::Thresholds => self.came.thresholds = Some(Reading::failed(why)),
            Request::Image => self.came.image = Some(Reading::failed(why)),
            Request::Logging => self.came.logging = Some(Reading::failed(why)),
            Request::Allowances => self.came.allowances = Some(Reading::failed(why)),
            Request::Units => self.came.units = Some(Reading::failed(why)),
            Request::Journal => self.came.journal = Some(Reading::failed(why)),
        }
    }

    fn place(&mut self, path: &str, role: &str, answer: Answer) {
        self.places.insert(path.to_owned(), Place { path: path.to_owned(), role: role.to_owned(), answer });
        self.places_changed = true;
    }

    /// What has come since the last call, with the kernel's new records.
    pub fn take(&mut self, kernel_log: KernelLog) -> Guarded {
        let mut came = std::mem::take(&mut self.came);
        if std::mem::take(&mut self.places_changed) {
            came.places = Some(self.places.values().cloned().collect());
        }
        came.kernel_log = kernel_log;
        came
    }

    /// Asks everything at once, in this process: for recordings, and for a single look where hanging is the caller's risk.
    pub fn ask_all(
        &mut self,
        host: &Host,
        samples: &Samples,
        wants: Wants,
        thresholds: impl Fn(&Host) -> Reading<Thresholds>,
    ) {
        let all = self.all(samples, wants);
        self.forget(&all);
        let requests: Vec<_> = all.into_iter().map(|(request, _)| request).collect();
        for (request, response) in requests.iter().zip(answer(host, &requests, thresholds)) {
            self.answered(request, response);
        }
    }
}

/// Once a minute, or where there is no such thing, once an hour: that costs a child each time.
fn seldom<T>(known: &Sampled<T>) -> u64 {
    let absent = matches!(known.reading, Reading::Absent { .. }) && known.taken != Mono(0);
    if absent { HOURLY_MS } else { SELDOM_MS }
}

/// Once an hour, and sooner where the last answer was none: those who need it would be blind, or go by an old one, for the rest of the hour.
fn hourly<T>(known: &Sampled<T>) -> u64 {
    if matches!(known.reading, Reading::Failed { .. }) { MINUTES_MS } else { HOURLY_MS }
}

/// One mount point per file system that a disk, a network or a program stands behind: the one that shows most of it.
fn mount_points(mounts: &[Mount]) -> Vec<&str> {
    let waits = |mount: &&Mount| {
        let kind = mount.kind.as_str();
        (mount.dev.major != 0 || MAY_WAIT.contains(&kind) || kind == "fuse" || kind.starts_with("fuse."))
            && !IMAGES.contains(&kind)
    };
    let mut best: BTreeMap<_, &Mount> = BTreeMap::new();
    for mount in mounts.iter().filter(waits) {
        let size = |mount: &Mount| (mount.root.len(), mount.point.len());
        let entry = best.entry(mount.dev).or_insert(mount);
        if size(mount) < size(entry) {
            *entry = mount;
        }
    }
    best.into_values().map(|mount| mount.point.as_str()).collect()
}

#[cfg(test)]
mod tests;
