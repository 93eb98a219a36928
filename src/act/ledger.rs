//! The fleet's budget: one ConfigMap in which each node writes its own line before it is cordoned. Pure: two ConfigMaps, a wish and the server's time come
//! in; a ConfigMap to be written or a named refusal goes out. It refuses to let a line expire that its node holds: those that stop renewing are the sick ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::ConfigMap;
use crate::model::time::Wall;
use crate::policy::{Mode, Withheld};

/// Where both ConfigMaps are.
pub const NAMESPACE: &str = "kube-system";
/// What nodes write.
pub const LEDGER: &str = "node-steward-ledger";
/// What people write, and nodes only read.
pub const LIMITS: &str = "node-steward-limits";
/// How long a start counts.
const DAY_MS: i64 = 86_400_000;
/// So long after it was written, our own line is still one to cordon on: well before others may doubt it.
const BEGUN_MS: i64 = 120_000;
/// From the line to when others may doubt it: between the line and the cordon there are seconds, and an agent that took longer judges anew.
const BEGINNING_MS: i64 = 300_000;
/// People's clocks may be wrong by so much.
const SLACK_MS: i64 = 300_000;
/// So many starts for one reason, or behind one owner, are a fault of nodes; the next is not.
const ALIKE: usize = 2;

/// One node's line: its key is the Node's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The Node's identity: another one of the same name has not written this.
    pub uid: String,
    /// Whom the budget is shared with.
    #[serde(default)]
    pub group: String,
    /// Begins of cordons, the newest last.
    pub starts: Vec<Start>,
    /// When the newest ended, RFC 3339; none while it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// It would have been the third of its kind, at this time: nobody begins any more until a person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
}

/// One begin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Start {
    /// When, by the API server's clock.
    pub at: String,
    /// The problem's kind.
    pub reason: String,
    /// Who is behind it, where that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

/// Why all was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// When.
    pub at: String,
    /// What was alike.
    pub alike: String,
}

impl Line {
    fn is_held(&self) -> bool {
        self.released.is_none() && !self.starts.is_empty()
    }

    fn begun_at(&self) -> Option<Wall> {
        self.starts.last().and_then(|start| Wall::parse(&start.at))
    }
}

/// What people allow; the tighter of this and the settings holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes that may be held at a time.
    pub held: usize,
    /// Begins in 24 hours.
    pub started: usize,
    /// At most this may be done by itself.
    pub mode: Mode,
    /// Nothing begins.
    pub pause: bool,
    /// Breakers until then are cleared.
    pub cleared: Wall,
}

impl Limits {
    /// From the settings alone.
    pub fn local(held: u32, started: u32) -> Self {
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Self { held: count(held), started: count(started), mode: Mode::Drain, pause: false, cleared: Wall(i64::MIN) }
    }

    /// The tighter of both. What cannot be read is no limit that was meant: an error.
    pub fn with(self, map: &ConfigMap) -> Result<Self, String> {
        let mut limits = self;
        for (key, value) in &map.data {
            let unread = || format!("{LIMITS}: {key}: {value:?} is not understood");
            let count = || value.trim().parse::<usize>().map_err(|_| unread());
            match key.as_str() {
                "maxHeld" => limits.held = limits.held.min(count()?),
                "maxStartedPerDay" => limits.started = limits.started.min(count()?),
                "pause" => limits.pause |= value.trim().parse::<bool>().map_err(|_| unread())?,
                "maxMode" => {
                    let mode = serde_json::from_value::<Mode>(value.trim().into()).map_err(|_| unread())?;
                    limits.mode = limits.mode.min(mode);
                }
                "breakerClearedAt" => limits.cleared = Wall::parse(value.trim()).ok_or_else(unread)?,
                // A later version's, or a slip of the pen: neither is to be passed over.
                _ => return Err(format!("{LIMITS}: there is no {key:?}")),
            }
        }
        Ok(limits)
    }
}

/// Who wants to begin, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The Node's name.
    pub node: String,
    /// Its identity.
    pub uid: String,
    /// Whom its budget is shared with.
    pub group: String,
    /// The problem's kind.
    pub reason: String,
    /// Who is behind it; empty where nobody is known.
    pub owner: String,
}

/// What is to be done about a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Ours was written a moment ago: an attempt was cut short.
    Held,
    /// This is to be written, and then it may begin.
    Write(ConfigMap),
    /// This is to be written, and nobody begins any more.
    Trip(ConfigMap, String),
    /// The lines of these Nodes are in the way; one that is seen to be gone, another one or schedulable does not count.
    Full(Vec<(String, String)>),
    /// No, and why.
    No(Withheld, String),
}

/// Weighs a claim. `freed` are Nodes whose line was seen not to hold any more: name and UID of the line.
pub fn weigh(map: &ConfigMap, limits: &Limits, claim: &Claim, now: Wall, freed: &BTreeSet<(String, String)>) -> Answer {
    if limits.pause {
        return Answer::No(Withheld::Paused, format!("{LIMITS} says pause"));
    }
    if limits.mode < Mode::Cordon {
        return Answer::No(Withheld::ModeIsCapped, format!("{LIMITS} allows no more than {}", limits.mode.name()));
    }
    if limits.cleared.0 > now.0.saturating_add(SLACK_MS) {
        // It would clear every breaker to come.
        let words = format!("{LIMITS}: breakerClearedAt: {} lies ahead", limits.cleared);
        return Answer::No(Withheld::LedgerUnreadable, words);
    }
    let lines = match read(map) {
        Ok(lines) => lines,
        Err(why) => return Answer::No(Withheld::LedgerUnreadable, why),
    };
    let tripped = |line: &Line| {
        line.breaker.clone().filter(|breaker| Wall::parse(&breaker.at).is_none_or(|at| at > limits.cleared))
    };
    if let Some((node, breaker)) = lines.iter().find_map(|(node, line)| Some((node, tripped(line)?))) {
        let words = format!("since {}, by {node}: a third cordon for {}", breaker.at, breaker.alike);
        return Answer::No(Withheld::BreakerIsOpen, words);
    }
    let own = lines.get(&claim.node).filter(|line| line.uid == claim.uid);
    // An older one may be doubted by others at any moment: it is no ground to act on, and is claimed anew.
    if own.is_some_and(|line| line.is_held() && line.begun_at().is_some_and(|at| is_between(at, now, BEGUN_MS))) {
        return Answer::Held;
    }
    // A time that cannot be read, or that lies ahead, is recent.
    let recent = |start: &&Start, since: i64| Wall::parse(&start.at).is_none_or(|at| at.0 > since);
    let starts: Vec<(&Line, &Start)> =
        lines.values().flat_map(|line| line.starts.iter().map(move |start| (line, start))).collect();
    // A breaker that was cleared begins to count anew.
    let since = now.0.saturating_sub(DAY_MS).max(limits.cleared.0);
    let alike = |what: &dyn Fn(&Start) -> bool| {
        starts.iter().filter(|(_, start)| recent(start, since) && what(start)).count() >= ALIKE
    };
    let same = if alike(&|start| start.reason == claim.reason) {
        Some(claim.reason.clone())
    } else if !claim.owner.is_empty() && alike(&|start| start.owner == claim.owner) {
        Some(claim.owner.clone())
    } else {
        None
    };
    if let Some(same) = same {
        let mut line = lines.get(&claim.node).cloned().unwrap_or_default();
        claim.uid.clone_into(&mut line.uid);
        line.breaker = Some(Breaker { at: now.to_string(), alike: same.clone() });
        return Answer::Trip(written(map, &claim.node, Some(&line)), same);
    }
    let in_group = |line: &Line| line.group == claim.group;
    let holders: Vec<(String, String)> = lines
        .iter()
        .filter(|(node, line)| **node != claim.node && line.is_held() && in_group(line))
        .map(|(node, line)| (node.clone(), line.uid.clone()))
        .filter(|holder| !freed.contains(holder))
        .collect();
    if holders.len() >= limits.held {
        return Answer::Full(holders);
    }
    let day = now.0.saturating_sub(DAY_MS);
    let started = starts.iter().filter(|(line, start)| in_group(line) && recent(start, day)).count();
    if started >= limits.started {
        let words = format!("{started} were begun in 24 h, and {} may be", limits.started);
        return Answer::No(Withheld::BudgetIsSpent, words);
    }
    let mut line = lines.get(&claim.node).cloned().unwrap_or_default();
    line.starts.retain(|start| recent(&start, day));
    line.starts.push(Start { at: now.to_string(), reason: claim.reason.clone(), owner: claim.owner.clone() });
    (line.uid, line.group, line.released) = (claim.uid.clone(), claim.group.clone(), None);
    Answer::Write(written(map, &claim.node, Some(&line)))
}

/// Our own line after the end of a cordon, and its end a day later: what is to be written, where anything is.
pub fn settle(map: &ConfigMap, node: &str, uid: &str, holds: bool, now: Wall) -> Option<ConfigMap> {
    let mut line: Line = serde_json::from_str(map.data.get(node)?).ok()?;
    // Another Node of our name is gone: we are the proof.
    if line.is_held() && (!holds || line.uid != uid) {
        line.released = Some(now.to_string());
        return Some(written(map, node, Some(&line)));
    }
    let over = |text: &str| Wall::parse(text).is_some_and(|at| at.0 <= now.0.saturating_sub(DAY_MS));
    let released = line.released.as_deref().is_some_and(over) || line.starts.is_empty();
    let old = line.breaker.is_none() && released && line.starts.iter().all(|start| over(&start.at));
    old.then(|| written(map, node, None))
}

/// Whether our own line is one that [`settle`] will have to do with some day.
pub fn has_line(map: &ConfigMap, node: &str) -> bool {
    map.data.contains_key(node)
}

/// Whether a Node that holds a line is seen not to hold it any more. One that has just written it may be about to be cordoned.
pub fn is_free(seen: Option<(&str, bool)>, uid: &str, line: Option<&Line>, now: Wall) -> bool {
    let fresh = line.and_then(Line::begun_at).is_none_or(|at| at.0 > now.0.saturating_sub(BEGINNING_MS));
    match seen {
        None => true,
        Some((other, _)) if other != uid => true,
        Some((_, unschedulable)) => !unschedulable && !fresh,
    }
}

/// Whether `at` is at most so long ago, and not ahead by more than the server's second.
fn is_between(at: Wall, now: Wall, most_ms: i64) -> bool {
    (now.0.saturating_sub(most_ms)..=now.0.saturating_add(2_000)).contains(&at.0)
}

/// One node's line.
pub fn line(map: &ConfigMap, node: &str) -> Option<Line> {
    serde_json::from_str(map.data.get(node)?).ok()
}

fn read(map: &ConfigMap) -> Result<BTreeMap<String, Line>, String> {
    let read = |(node, text): (&String, &String)| {
        let line = serde_json::from_str(text).map_err(|why| format!("{LEDGER}: the line of {node}: {why}"))?;
        Ok((node.clone(), line))
    };
    map.data.iter().map(read).collect()
}

fn written(map: &ConfigMap, node: &str, line: Option<&Line>) -> ConfigMap {
    let mut map = map.clone();
    match line {
        Some(line) => map.data.insert(node.to_owned(), serde_json::json!(line).to_string()),
        None => map.data.remove(node),
    };
    map
}

#[cfg(test)]
mod tests;
