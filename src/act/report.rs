//! What the cluster is told, and when: conditions at a slow beat and soon after they change, events as they come. Pure: it is shown the node's problems and
//! the Node, asked for the next request, and told what came of it. It refuses to write what it has not seen: without a Node before its eyes it is silent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::conditions::{ALL, Answer, Said, View, judge, name, of_its_subject};
use super::note::Note;
use super::notices::Notices;
use super::repair::{self, Repair, is_known, whose};
use super::rules::Rules;
use crate::cluster::{Error, Node, NodeCondition, Request, jitter};
use crate::detect::Changes;
use crate::model::problem::{Problem, Severity};
use crate::model::time::{Mono, Now, Wall};

/// Somebody has changed what is ours: it is put back, but two who disagree must not write all the time.
const PUT_BACK_MS: u64 = 60_000;
/// After an answer that only a person changes.
const REFUSED_MS: u64 = 60_000;
/// After any other failure, doubled up to a minute: the sender keeps a distance of its own from a server that is unwell, and not from one that fails this alone.
const AGAIN_MS: u64 = 1_000;
const LONGEST_MS: u64 = 60_000;

/// Uses of the node's jitter: each its own salt.
const SETTLE: u64 = 1;
const BEAT: u64 = 1 << 32;
const FAILED: u64 = 1 << 48;

/// What survives a restart within one boot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// By their types.
    stands: BTreeMap<String, Stand>,
    notices: Notices,
}

/// A condition as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stand {
    said: Said,
    /// Since when its status is that.
    since: Wall,
    /// It is the first that this run says: if the Node says the same already, it has done so since then.
    first: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Reporter {
    rules: Rules,
    kept: Kept,
    looked: bool,
    /// Our conditions as the Node has them, and the Node's name; none while it is not before our eyes.
    there: Option<(String, BTreeMap<String, NodeCondition>)>,
    /// Types that we could be asked for, and that somebody else writes.
    others: BTreeSet<String>,
    /// What was written last, and when.
    written: Option<Written>,
    spoke: Option<Mono>,
    /// When what somebody else has changed is to be put back.
    put_back: Option<Mono>,
    /// When what has changed is to be written; none where nothing has.
    due: Option<Mono>,
    /// When all is written again in any case.
    beat: Mono,
    beats: u64,
    /// Failures in a row.
    failures: u32,
    note: Note,
    unsaved: bool,
}

type Written = BTreeMap<String, Said>;

/// A request on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// It.
    pub request: Request,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Conditions(Written),
    Notice { reason: String, said: u64 },
    Note,
}

impl Reporter {
    /// Goes on with what an earlier run of this boot has kept.
    pub fn new(rules: Rules, mut kept: Kept) -> Self {
        // An earlier version may have had others.
        kept.stands.retain(|kind, _| is_known(kind));
        Self {
            rules,
            // Its status stands until the first full look.
            looked: false,
            kept,
            there: None,
            others: BTreeSet::new(),
            written: None,
            spoke: None,
            put_back: None,
            due: None,
            beat: Mono(0),
            beats: 0,
            failures: 0,
            note: Note::default(),
            unsaved: false,
        }
    }

    /// Other settings; what is known stays.
    pub fn configure(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// To be saved.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether something is to be saved since the last call.
    pub fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    /// What the Node's annotation is to say of what is reserved; none where that is not known.
    pub fn reserved(&mut self, now: Mono, text: Option<String>) {
        self.note.want(now, text.filter(|_| self.rules.reserved));
    }

    /// Reasons that wait for their Event.
    pub fn waiting(&self) -> usize {
        self.kept.notices.waiting()
    }

    /// Takes what a turn has shown.
    pub fn observe(&mut self, now: &Now, view: &View<'_>, changes: &Changes) {
        if self.rules.events {
            self.notice(now, changes);
        }
        self.looked |= view.looked;
        // After a restart within one boot the last word stands until there was a full look.
        if !self.looked && !self.kept.stands.is_empty() {
            return;
        }
        let view = &View { looked: self.looked, ..*view };
        for condition in ALL {
            let said = if self.rules.conditions { judge(condition, view) } else { None };
            // Where it began before anybody could be told, it began then.
            let began = view.problems_of(condition).map(|problem| problem.since_wall).min();
            self.stand(now, name(condition), said, began);
        }
        for repair in Repair::ALL {
            let kinds = self.rules.repair.get(&repair).filter(|_| self.rules.conditions);
            let said = kinds.and_then(|kinds| repair::judge(repair, kinds, view));
            // A problem is not grave from its begin: others count from the moment when it is.
            self.stand(now, repair.name(), said, None);
        }
        self.plan(now.mono);
    }

    /// How a condition stands from now on.
    fn stand(&mut self, now: &Now, kind: String, said: Option<Said>, began: Option<Wall>) {
        let Some(said) = said else {
            self.unsaved |= self.kept.stands.remove(&kind).is_some();
            return;
        };
        match self.kept.stands.get_mut(&kind) {
            Some(stand) if stand.said.answer == said.answer => {
                self.unsaved |= stand.said.core() != said.core();
                stand.said = said;
            }
            other => {
                let first = other.is_none() && said.answer != Answer::Unknown;
                let since = began.filter(|_| first && said.answer == Answer::True).unwrap_or(now.wall);
                self.kept.stands.insert(kind, Stand { said, since, first });
                self.unsaved = true;
            }
        }
    }

    /// Something that was done to the node, or that was asked for and is not done.
    pub fn tell(&mut self, now: &Now, reason: &str, warning: bool, words: &str) {
        if self.rules.events {
            self.kept.notices.say(now, reason, warning, "node", words);
            self.unsaved = true;
        }
    }

    /// What began and what ended; advice is nobody's business.
    fn notice(&mut self, now: &Now, changes: &Changes) {
        let counts = |problem: &Problem| problem.finding.severity > Severity::Advice;
        let began = changes.began.iter().filter(|problem| counts(problem)).map(|problem| (problem, true));
        // It became worse; or it became advice, and that is an end.
        let changed = changes
            .changed
            .iter()
            .filter(|(before, problem)| counts(problem) || *before > Severity::Advice)
            .map(|(before, problem)| (before, problem))
            .filter(|(before, problem)| problem.finding.severity > **before || !counts(problem))
            .map(|(_, problem)| (problem, counts(problem)));
        let ended = changes.ended.iter().filter(|problem| counts(problem)).map(|problem| (problem, false));
        for (problem, sick) in began.chain(changed).chain(ended) {
            let finding = &problem.finding;
            let (reason, words) = if sick {
                (finding.kind.to_string(), of_its_subject(finding))
            } else {
                let words = format!("{}: {} is over; it began {}", finding.subject, finding.kind, problem.since_wall);
                (format!("{}Ended", finding.kind), words)
            };
            self.kept.notices.say(now, &reason, sick, &finding.subject, &words);
            self.unsaved = true;
        }
    }

    /// Our Node, as the server has it now.
    pub fn saw(&mut self, now: Mono, node: &Node) {
        self.note.saw(now, node);
        let conditions = &node.status.conditions;
        let ours = conditions.iter().filter(|one| whose(one) == Some(true));
        let there: BTreeMap<_, _> = ours.map(|one| (one.kind.clone(), one.clone())).collect();
        let others = conditions.iter().filter(|one| whose(one) == Some(false));
        self.others = others.map(|one| one.kind.clone()).collect();
        let new = self.there.is_none();
        let name = &node.metadata.name;
        self.there = Some((name.clone(), there));
        if !new {
            let back = self.spoke.map_or(now, |spoke| spoke.plus_ms(PUT_BACK_MS)).max(now);
            self.put_back = self.written.as_ref().filter(|written| self.altered(written)).map(|_| back);
            return;
        }
        (self.put_back, self.due) = (None, None);
        self.adopt();
        let stands = self.said();
        if self.altered(&stands) || !self.dated() {
            self.written = None;
            self.due = Some(now.plus_ms(jitter(name, SETTLE, self.rules.settle.ms())));
        } else {
            // A server that comes back to a thousand nodes is not told a thousand times what it knows.
            self.written = Some(stands);
            if self.beat <= now {
                self.beat = now.plus_ms(jitter(name, BEAT, self.rules.every.ms()));
            }
        }
    }

    fn said(&self) -> Written {
        self.stands().map(|(kind, stand)| (kind.clone(), stand.said.clone())).collect()
    }

    /// What is ours to say: what another writes under the same name is not.
    fn stands(&self) -> impl Iterator<Item = (&String, &Stand)> {
        self.kept.stands.iter().filter(|(kind, _)| !self.others.contains(*kind))
    }

    /// Names that were asked for and that another writes.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        let asked = |kind: &&String| self.kept.stands.contains_key(*kind);
        self.others.iter().filter(asked).map(String::as_str)
    }

    /// There is no Node of ours, or nobody who could tell.
    pub fn lost(&mut self) {
        self.there = None;
        self.note.lost();
    }

    /// What the Node has said since before this run began has been so since then.
    fn adopt(&mut self) {
        let Some((_, there)) = &self.there else { return };
        for (kind, stand) in self.kept.stands.iter_mut().filter(|(_, stand)| stand.first) {
            let same = there.get(kind).filter(|one| one.status == stand.said.answer.to_string());
            if let Some(since) = same.and_then(|one| one.last_transition_time.as_deref()).and_then(Wall::parse) {
                stand.since = since;
            }
        }
    }

    /// Whether the Node has anything else than this.
    fn altered(&self, written: &Written) -> bool {
        let Some((_, there)) = &self.there else { return false };
        let kept = |(kind, said): (&String, &Said)| {
            there.get(kind).is_some_and(|one| one.status == said.answer.to_string() && one.reason == said.reason)
        };
        there.len() != written.len() || !written.iter().all(kept)
    }

    /// Whether the Node has it since the same moments as we: what came and went while nobody listened is news.
    fn dated(&self) -> bool {
        let Some((_, there)) = &self.there else { return false };
        let since = |kind: &String| there.get(kind)?.last_transition_time.as_deref().and_then(Wall::parse);
        let same = |(kind, stand): (&String, &Stand)| {
            since(kind).is_some_and(|since| since.0.div_euclid(1000) == stand.since.0.div_euclid(1000))
        };
        self.stands().all(same)
    }

    /// Sets the moment for what has changed.
    fn plan(&mut self, now: Mono) {
        let Some((node, _)) = &self.there else { return };
        let Some(written) = &self.written else { return };
        let as_written =
            |(kind, stand): (&String, &Stand)| written.get(kind).is_some_and(|said| said.core() == stand.said.core());
        let same = written.len() == self.stands().count() && self.stands().all(as_written);
        if same || self.due.is_some() {
            return;
        }
        let settled = now.plus_ms(jitter(node, SETTLE, self.rules.settle.ms()));
        let apart = self.spoke.map_or(Mono(0), |spoke| spoke.plus_ms(self.rules.coalesce.ms()));
        self.due = Some(settled.max(apart));
    }

    /// When there is something to send next.
    pub fn next(&self) -> Option<Mono> {
        self.there.as_ref()?;
        Some([self.kept.notices.next(), self.note.next()].into_iter().flatten().fold(self.speaks(), Mono::min))
    }

    /// When the conditions are to be written next.
    fn speaks(&self) -> Mono {
        [self.due, self.put_back].into_iter().flatten().fold(self.beat, Mono::min)
    }

    /// What is to be sent now. Conditions go first; one request at a time.
    pub fn take(&mut self, now: &Now) -> Option<Sent> {
        let (node, there) = self.there.as_ref()?;
        let node = node.clone();
        if self.speaks() <= now.mono {
            let set: Vec<_> = self.stands().map(|(kind, stand)| written(kind, stand, now.wall)).collect();
            let known = |kind: &String| !set.iter().any(|one| one.kind == *kind);
            let remove: Vec<_> = there.keys().filter(|kind| known(kind)).cloned().collect();
            if !set.is_empty() || !remove.is_empty() {
                let request = Request::PatchConditions { name: node, set, remove };
                return Some(Sent { request, what: What::Conditions(self.said()) });
            }
            self.written = Some(Written::new());
            (self.due, self.put_back, self.beat) = (None, None, now.mono.plus_ms(self.rules.every.ms()));
        }
        let notice = self.kept.notices.take(now.mono, &node);
        let notice = notice.map(|(reason, said, request)| Sent { request, what: What::Notice { reason, said } });
        notice.or_else(|| self.note.take(now.mono).map(|request| Sent { request, what: What::Note }))
    }

    /// What came of it.
    pub fn answered(&mut self, now: Mono, sent: &Sent, error: Option<&Error>) {
        match (&sent.what, error) {
            (What::Note, error) => self.note.answered(now, error),
            (What::Notice { reason, said }, error) => {
                self.kept.notices.answered(now, reason, *said, &sent.request, error);
                self.unsaved = true;
            }
            (What::Conditions(what), None) => {
                (self.written, self.spoke) = (Some(what.clone()), Some(now));
                (self.due, self.put_back, self.failures) = (None, None, 0);
                let node = self.there.as_ref().map_or("", |(node, _)| node.as_str());
                let (every, tenth) = (self.rules.every.ms(), self.rules.every.ms() / 10);
                self.beats = self.beats.wrapping_add(1);
                self.beat = now.plus_ms(every - tenth + jitter(node, BEAT + self.beats, 2 * tenth));
                self.plan(now);
            }
            (What::Conditions(_), Some(error)) => {
                let wait = match error {
                    Error::HeldBack { ms } => *ms,
                    Error::Forbidden(_) | Error::Invalid { .. } | Error::NotFound(_) => REFUSED_MS,
                    _ => {
                        let doubled = (AGAIN_MS << self.failures.min(6)).min(LONGEST_MS);
                        self.failures = self.failures.saturating_add(1);
                        let node = self.there.as_ref().map_or("", |(node, _)| node.as_str());
                        doubled + jitter(node, FAILED + u64::from(self.failures), doubled / 4)
                    }
                };
                let again = now.plus_ms(wait);
                (self.due, self.put_back, self.beat) = (Some(again), None, self.beat.max(again));
            }
        }
    }
}

fn written(kind: &str, stand: &Stand, now: Wall) -> NodeCondition {
    NodeCondition {
        kind: kind.to_owned(),
        status: stand.said.answer.to_string(),
        reason: stand.said.reason.clone(),
        message: stand.said.message.clone(),
        last_heartbeat_time: Some(now.to_string()),
        last_transition_time: Some(stand.since.to_string()),
    }
}

#[cfg(test)]
pub(super) mod scene;
#[cfg(test)]
mod tests;
