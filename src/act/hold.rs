//! Whose cordon is on the Node, and the one PATCH that puts ours on or takes it off. Pure: the Node and a wish come in, a patch or a named refusal goes out.
//! It refuses to take off what another has put on, to touch what a person has touched since, and to work while somebody else works on the node.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::{MANAGER, Node};
use crate::model::cluster::Hold;
use crate::model::time::Wall;

/// The annotation that says whose the cordon is, and why.
pub const MARK: &str = "node-steward.io/cordon";
/// The label that goes with it, so that `kubectl uncordon -l node-steward.io/cordoned` undoes a fleet.
pub const LABEL: &str = "node-steward.io/cordoned";
/// Until when nothing is done here without being asked: a person has taken our cordon off. An annotation, so that it survives a reboot.
pub const HANDS_OFF: &str = "node-steward.io/hands-off-until";
/// When the Node was last cordoned without being asked. It stays, so that it survives a reboot.
pub const LAST: &str = "node-steward.io/cordoned-last";
/// The annotation by which a Node's owner keeps us from touching it.
pub const OPT_OUT: &str = "node-steward.io/opt-out";
/// The word for a cordon of ours that somebody has taken off.
pub const TAKEN_OFF: &str = "takenOff";
/// How long a person's word holds.
const HANDS_OFF_MS: i64 = 86_400_000;
/// Of words that go into an annotation.
const LONGEST: usize = 500;

/// Conditions under which somebody else works on the node.
const AT_WORK: [&str; 2] = ["MaintenanceInProgress", "DrainInProgress"];
/// Taints of those who are about to take the node away.
const TAKEN: [&str; 5] = [
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "node.cloudprovider.kubernetes.io/shutdown",
    "node.kubernetes.io/out-of-service",
];
/// The same, by what they begin with.
const TAKEN_BY: &str = "aws-node-termination-handler/";

/// For whom a cordon was put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum For {
    /// Somebody asked for it: it ends when somebody asks for that.
    Person,
    /// A problem: it ends with the problem.
    Problem,
}

impl For {
    fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Problem => "problem",
        }
    }
}

/// What our annotation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// For whom.
    #[serde(rename = "for")]
    pub whose: For,
    /// Who asked, or the problem's subject.
    pub by: String,
    /// Why: somebody's words, or the problem's kind.
    pub reason: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// In which boot.
    pub boot_id: String,
}

/// How the Node stands to cordons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It takes pods, and nothing of ours is on it.
    Open,
    /// We have cordoned it, and nobody has touched that.
    Ours(Mark),
    /// Somebody else has; why we think so.
    Another(String),
    /// Our mark is on it and it takes pods: somebody has taken our cordon off.
    TakenOff(Option<Mark>),
}

/// Reads it off the Node.
pub fn held(node: &Node) -> Held {
    let text = node.metadata.annotations.get(MARK);
    let mark = text.and_then(|text| serde_json::from_str::<Mark>(text).ok());
    match (node.spec.unschedulable, text.is_some(), mark) {
        (false, false, _) => Held::Open,
        (false, true, mark) => Held::TakenOff(mark),
        (true, false, _) => Held::Another(match cordoned_by(node) {
            Some(manager) => format!("{manager} has cordoned it"),
            None => "somebody else has cordoned it".to_owned(),
        }),
        (true, true, None) => Held::Another(format!("its annotation {MARK} is not what we write")),
        (true, true, Some(mark)) => match cordoned_by(node) {
            Some(MANAGER) => Held::Ours(mark),
            // A Node that was made without any field has no notes of who wrote what.
            None if node.metadata.managed_fields.is_empty() => Held::Ours(mark),
            Some(manager) => Held::Another(format!("{manager} has cordoned it anew since we did")),
            None => Held::Another("somebody has cordoned it anew since we did".to_owned()),
        },
    }
}

/// Who has set `spec.unschedulable` last, as the server has noted it; one who has applied the same beside us counts before us.
fn cordoned_by(node: &Node) -> Option<&str> {
    let set = |fields: &Value| fields.pointer("/f:spec/f:unschedulable").is_some();
    let writers = node.metadata.managed_fields.iter().filter(|one| set(&one.fields));
    writers.map(|one| one.manager.as_str()).max_by_key(|manager| *manager != MANAGER)
}

/// Who works on the node just now, or has asked us not to: nothing is done then.
pub fn stands_down(node: &Node) -> Option<String> {
    if node.metadata.deletion_timestamp.is_some() {
        return Some("the Node is being deleted".to_owned());
    }
    if node.metadata.annotations.get(OPT_OUT).is_some_and(|value| value != "false") {
        return Some(format!("the Node's annotation {OPT_OUT} says so"));
    }
    let at_work = |kind: &str| AT_WORK.contains(&kind);
    if let Some(one) = node.status.conditions.iter().find(|one| at_work(&one.kind) && one.status == "True") {
        return Some(format!("the Node's condition {} is True", one.kind));
    }
    let taken = |key: &str| TAKEN.contains(&key) || key.starts_with(TAKEN_BY);
    node.spec.taints.iter().find(|taint| taken(&taint.key)).map(|taint| format!("the Node has the taint {}", taint.key))
}

/// Until when nothing is done without being asked; none where that is past. What cannot be read holds for ever: it was written on purpose.
pub fn hands_off(node: &Node, now: Wall) -> Option<String> {
    let until = node.metadata.annotations.get(HANDS_OFF)?;
    Wall::parse(until).is_none_or(|until| until > now).then(|| until.clone())
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// To cordon, or to uncordon.
    pub cordon: bool,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Why a wish is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The cordon is another's.
    HeldByAnother(String),
    /// Somebody else is at work here, or we were told to stay away.
    StandsDown(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeldByAnother(why) => write!(f, "{why}; `kubectl uncordon` is theirs to say"),
            Self::StandsDown(why) => write!(f, "node-steward keeps its hands off: {why}"),
        }
    }
}

/// What a wish comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is so already.
    IsSo,
    /// This patch makes it so, bound to the Node's version.
    Patch(Value),
}

/// A person's wish, judged on the Node as it is now.
pub fn grant(node: &Node, wish: &Wish, now: Wall, boot_id: &str) -> Result<Step, Refusal> {
    let held = held(node);
    let is_so = match (&held, wish.cordon) {
        (Held::Open, false) => true,
        // A problem's cordon becomes a person's: it no longer ends with the problem.
        (Held::Ours(mark), true) => mark.whose == For::Person,
        _ => false,
    };
    if is_so {
        return Ok(Step::IsSo);
    }
    if let Held::Another(why) = &held {
        return Err(Refusal::HeldByAnother(why.clone()));
    }
    if let Some(why) = stands_down(node) {
        return Err(Refusal::StandsDown(why));
    }
    Ok(Step::Patch(match (held, wish.cordon) {
        (_, true) => on(&Mark {
            whose: For::Person,
            by: cut(&wish.by),
            reason: cut(&wish.reason),
            since: now.to_string(),
            boot_id: boot_id.to_owned(),
        }),
        // Whoever ends a cordon that we have put on by ourselves does not want it back at once.
        (Held::Ours(Mark { whose: For::Person, .. }), false) => off(None),
        (_, false) => off(Some(now)),
    }))
}

/// Somebody has taken our cordon off: the mark goes, and nothing is done without being asked for a day.
pub fn let_go(node: &Node, now: Wall) -> Option<Value> {
    matches!(held(node), Held::TakenOff(_)).then(|| {
        let mut patch = off(Some(now));
        // It is schedulable already, and who else writes that field is not ours to say.
        if let Some(fields) = patch.as_object_mut() {
            fields.remove("spec");
        }
        patch
    })
}

/// One PATCH: whoever sees the cordon sees whose it is.
pub fn on(mark: &Mark) -> Value {
    let mut annotations = json!({MARK: json!(mark).to_string()});
    if mark.whose == For::Problem {
        annotations[LAST] = mark.since.clone().into();
    }
    json!({
        "metadata": {"annotations": annotations, "labels": {LABEL: mark.whose.word()}},
        "spec": {"unschedulable": true},
    })
}

/// The same way back; `since` begins a day of hands off.
pub fn off(since: Option<Wall>) -> Value {
    let mut annotations = json!({MARK: null});
    if let Some(Wall(since)) = since {
        annotations[HANDS_OFF] = Wall(since.saturating_add(HANDS_OFF_MS)).to_string().into();
    }
    json!({"metadata": {"annotations": annotations, "labels": {LABEL: null}}, "spec": {"unschedulable": null}})
}

/// For the status.
pub fn shown(node: &Node, now: Wall) -> Hold {
    let (word, mark, why) = match held(node) {
        Held::Open => ("open", None, String::new()),
        Held::Ours(mark) => ("ours", Some(mark), String::new()),
        Held::Another(why) => ("another", None, why),
        Held::TakenOff(mark) => (TAKEN_OFF, mark, "our mark is on it, and it takes pods".to_owned()),
    };
    let mark = mark.as_ref();
    Hold {
        state: word.to_owned(),
        why,
        whose: mark.map_or("", |mark| mark.whose.word()).to_owned(),
        by: mark.map(|mark| mark.by.clone()).unwrap_or_default(),
        reason: mark.map(|mark| mark.reason.clone()).unwrap_or_default(),
        since: mark.map(|mark| mark.since.clone()).unwrap_or_default(),
        hands_off_until: hands_off(node, now).unwrap_or_default(),
        stands_down: stands_down(node).unwrap_or_default(),
    }
}

fn cut(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
