//! The one place where the result goes, and the text that it shall hold. It refuses two places at once: the drop-in where a directory is in use, else the fragment or the file.

use std::path::{Path, PathBuf};

use super::PlaceError;
use super::config::{KubeletConfig, parse};
use super::record::Record;
use super::render;
use super::rules::{Layout, Rules};
use super::setup::{self, MOST_BYTES, Setup};
use crate::host::Host;
use crate::model::Node;
use crate::model::machine::Identity;

/// A file, and what it shall hold; no text means that it shall not be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Where.
    pub path: PathBuf,
    /// The whole new content.
    pub text: Option<String>,
    /// What it holds now.
    pub old: Option<String>,
    /// For a file that is not ours: how to take our values back, before and after it is changed.
    pub record: Option<Undoing>,
    /// What must be done besides for kubelet to read it.
    pub needs: Option<String>,
}

/// The way back from a merge, at its two moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Undoing {
    /// While the file may hold the last values or the new ones.
    pub on_the_way: Record,
    /// Once it holds the new ones.
    pub settled: Record,
}

/// When a run happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before others have written: nodeadm's run phase will still read a fragment.
    Early,
    /// Right before kubelet starts, or by hand.
    Late,
}

/// Chooses the place and renders the text.
pub fn choose(
    host: &Host,
    setup: &Setup,
    rules: &Rules,
    changes: &Node,
    machine: &Identity,
    moment: Moment,
) -> Result<Target, PlaceError> {
    match setup.layout {
        Layout::EksAl2 => merge(host, setup, changes, machine),
        Layout::DropIn | Layout::Kubeadm => drop_in(host, setup, rules, changes, machine),
        Layout::EksAl2023 if nodeadm_reads_a_fragment(setup, rules, changes, moment) => {
            fragment(host, setup, changes, machine, moment)
        }
        Layout::EksAl2023 => drop_in(host, setup, rules, changes, machine),
        Layout::StandAlone if setup.drop_in_dir.is_some() => drop_in(host, setup, rules, changes, machine),
        Layout::StandAlone => Err(PlaceError::NoLayout("the layout stand-alone needs --out FILE".to_owned())),
    }
}

/// A file of the caller's choice: the base with the changes in it, or a new one.
pub fn out(host: &Host, setup: &Setup, out: &Path, changes: &Node) -> Result<Target, PlaceError> {
    let text = match &setup.main {
        Some(base) => render::merged(&text_of(host, base)?.unwrap_or_default(), changes).map_err(PlaceError::Render)?,
        None => render::whole(changes).map_err(PlaceError::Render)?,
    };
    // An unreadable old file is no obstacle to replacing it: the diff is then against nothing.
    let old = text_of(host, out).ok().flatten();
    Ok(Target { path: out.to_owned(), text: Some(text), old, record: None, needs: None })
}

/// nodeadm gives kubelet a directory only when some NodeConfig sets kubelet's configuration, so a fragment is the place where no directory is in use.
/// Once our fragment is there, it stays the place, unless kubelet is about to start and would read something else.
fn nodeadm_reads_a_fragment(setup: &Setup, rules: &Rules, changes: &Node, moment: Moment) -> bool {
    let in_use = setup.config_dir.is_some() || rules.drop_in.is_some();
    let ours = setup.ours.iter().any(|file| file.path == setup::fragment_path());
    let read_already = || render::changes(changes, &setup.present.effective().node).entries().is_empty();
    !in_use || (ours && (moment == Moment::Early || read_already()))
}

fn fragment(
    host: &Host,
    setup: &Setup,
    changes: &Node,
    machine: &Identity,
    moment: Moment,
) -> Result<Target, PlaceError> {
    let path = setup::fragment_path().to_owned();
    let text = rendered(changes, || render::fragment(changes, machine))?;
    let too_late =
        moment == Moment::Late && !render::changes(changes, &setup.present.effective().node).entries().is_empty();
    let needs = too_late.then(|| {
        "nodeadm has read its fragments already: kubelet starts without this now and with it at the next boot; \
         enable node-steward-bootstrap.service, which runs before nodeadm-run"
            .to_owned()
    });
    Ok(Target { old: text_of(host, &path)?, path, text, record: None, needs })
}

fn drop_in(
    host: &Host,
    setup: &Setup,
    rules: &Rules,
    changes: &Node,
    machine: &Identity,
) -> Result<Target, PlaceError> {
    let dir = setup.drop_in_dir.as_deref().ok_or_else(|| {
        PlaceError::NoLayout("the layout drop-in needs a directory: --drop-in DIR, [kubelet] drop_in, or --config-dir in kubelet.service".to_owned())
    })?;
    let path = dir.join(format!("{:02}{}", rules.drop_in_number, setup::OUR_ENDING));
    let text = rendered(changes, || render::drop_in(changes, machine))?;
    let needs = (setup.config_dir.as_deref() != Some(dir)).then(|| match (setup.layout, &setup.main) {
        (Layout::Kubeadm, Some(main)) => format!(
            "kubelet does not read {0} yet: put Environment=\"KUBELET_CONFIG_ARGS=--config={1} --config-dir={0}\" under [Service] in \
             /etc/systemd/system/kubelet.service.d/20-node-steward.conf and run systemctl daemon-reload",
            dir.display(),
            main.display()
        ),
        _ => format!("kubelet does not read {0} unless it is started with --config-dir={0}", dir.display()),
    });
    Ok(Target { old: text_of(host, &path)?, path, text, record: None, needs })
}

/// Takes our earlier values out, lays the new ones over what is then there, and remembers the way back.
fn merge(host: &Host, setup: &Setup, changes: &Node, machine: &Identity) -> Result<Target, PlaceError> {
    let path = setup.main.clone().unwrap_or_default();
    let old = text_of(host, &path)?.ok_or_else(|| PlaceError::NoBase(path.clone()))?;
    let (Some(others), Some(present)) = (node_of(&setup.others), node_of(&setup.present)) else {
        return Err(PlaceError::NoBase(path));
    };
    let last = super::record::read(host)?.filter(|record| Path::new(&record.file) == path);
    let undo = last.as_ref().map(|record| record.undo(present));
    let clean = match undo.filter(|undo| !undo.entries().is_empty()) {
        Some(undo) => render::merged(&old, &undo).map_err(PlaceError::Render)?,
        None => old.clone(),
    };
    // Nothing to change: the file stays as it is, to the byte.
    let text = if changes.entries().is_empty() {
        clean
    } else {
        render::merged(&clean, changes).map_err(PlaceError::Render)?
    };
    let unchanged = parse("the result", text.as_bytes()).is_ok_and(|node| same(&node, present));
    let settled =
        Record::new(machine.clone(), path.display().to_string(), changes.clone(), render::inverse(changes, others));
    let on_the_way = settled.over(last.as_ref(), present);
    Ok(Target {
        path,
        text: Some(if unchanged { old.clone() } else { text }),
        old: Some(old),
        record: Some(Undoing { on_the_way, settled }),
        needs: None,
    })
}

fn node_of(config: &KubeletConfig) -> Option<&Node> {
    config.main.as_ref().map(|file| &file.node)
}

/// Equal but for the order of keys.
fn same(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (Node::Map(x), Node::Map(y)) => {
            x.len() == y.len() && x.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

fn rendered(changes: &Node, render: impl FnOnce() -> Result<String, String>) -> Result<Option<String>, PlaceError> {
    if changes.entries().is_empty() { Ok(None) } else { render().map(Some).map_err(PlaceError::Render) }
}

fn text_of(host: &Host, path: &Path) -> Result<Option<String>, PlaceError> {
    Ok(host.read(path, MOST_BYTES)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
