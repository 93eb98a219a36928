//! What a probe child is asked, and its answers, as they cross the pipe; and at which mount points a question may hang. It refuses to book a question that
//! reads at several of them at any one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Pages;
use crate::model::Reading;
use crate::model::watch::{Allowances, Answer, Image, Journal, Logging, Mount, PodName, Thresholds, UnitState};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub enum Request {
    /// What is at a directory.
    Look {
        /// The directory.
        path: String,
        /// What it is for, as in [`Place`].
        role: String,
    },
    /// The names of pods, from their log directories.
    PodNames,
    /// The names of running containers, from the container runtime.
    Containers,
    /// A controller's log pages.
    Nvme {
        /// Such as `nvme0`.
        controller: String,
    },
    /// kubelet's eviction thresholds, from its configuration.
    Thresholds,
    /// What is installed.
    Image,
    /// Syslog daemons, journald's settings, and who reads their files.
    Logging,
    /// What the cloud's network interfaces count of their allowances.
    Allowances,
    /// Units that the node cannot do without.
    Units,
    /// Counts of the journal's own index.
    Journal,
}

/// Its answer, of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "is", rename_all = "camelCase")]
pub enum Response {
    /// To [`Request::Look`].
    Looked(Answer),
    /// To [`Request::PodNames`].
    PodNames(Reading<Vec<PodName>>),
    /// To [`Request::Containers`].
    Containers(Reading<Vec<PodName>>),
    /// To [`Request::Nvme`].
    Nvme(Pages),
    /// To [`Request::Thresholds`].
    Thresholds(Reading<Thresholds>),
    /// To [`Request::Image`].
    Image(Reading<Image>),
    /// To [`Request::Logging`].
    Logging(Reading<Logging>),
    /// To [`Request::Allowances`].
    Allowances(Reading<Vec<Allowances>>),
    /// To [`Request::Units`].
    Units(Reading<Vec<UnitState>>),
    /// To [`Request::Journal`].
    Journal(Reading<Journal>),
}

impl Request {
    /// What a stuck answer would be stuck at: only one request per mount point or device may be outstanding, and those of one go to one child. A request
    /// that reads at several mount points has a name of its own: it may hang at any of them, and a look at another must neither wait for it nor be blamed.
    pub fn stuck_at(&self, mounts: &[Mount]) -> String {
        let at = |paths: &[&str]| {
            let points: BTreeSet<&str> = paths.iter().map(|path| mount_of(mounts, path)).collect();
            points.into_iter().collect::<Vec<_>>().join(" and ")
        };
        match self {
            Self::Look { path, .. } => mount_of(mounts, path).to_owned(),
            Self::PodNames => at(&["/var/log/pods", "/var/log/containers"]),
            Self::Containers => "the container runtime".to_owned(),
            Self::Nvme { controller } => controller.clone(),
            Self::Thresholds => at(&["/etc/kubernetes", "/var/lib/kubelet"]),
            Self::Image => at(&["/etc", "/usr/lib/modules", "/boot"]),
            Self::Logging => at(&["/etc", "/usr/lib/systemd", "/opt", "/var/log/journal"]),
            Self::Journal => at(&["/etc", "/var/log/journal"]),
            Self::Allowances => "the network interfaces".to_owned(),
            Self::Units => "systemd".to_owned(),
        }
    }
}

/// The mount point that a path lies beneath, by the longest name.
fn mount_of<'a>(mounts: &'a [Mount], path: &str) -> &'a str {
    let holds = |point: &str| {
        point == "/" || path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let points = mounts.iter().map(|mount| mount.point.as_str()).filter(|point| holds(point));
    points.max_by_key(|point| point.len()).unwrap_or("/")
}
