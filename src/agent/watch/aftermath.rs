//! What is said of a drain, to the log and as Events, and what follows a full one. It refuses to run anything twice, and where the cordon is no longer ours.

use super::shared::Shared;
use crate::act::drain::Drain;
use crate::host::Priority;
use crate::model::cluster::Hold;
use crate::model::drain::{DrainState, PodStep};

impl Shared {
    /// The plan, before the first eviction.
    pub(super) fn tell_plan(&self) {
        if std::mem::replace(&mut self.drained.borrow_mut().planned, true) {
            return;
        }
        let Some(status) = self.drain_status() else { return };
        let names = |step: PodStep| {
            let list: Vec<String> =
                status.pods.iter().filter(|pod| pod.step == step).map(ToString::to_string).collect();
            if list.is_empty() { "none".to_owned() } else { list.join(", ") }
        };
        let (going, stay, skipped) = (status.going(), status.count(PodStep::Stays), status.count(PodStep::Skipped));
        let head = format!(
            "drain: {going} pods go, {stay} stay, {skipped} are left alone; {} asked for it: {}",
            status.by, status.reason
        );
        self.tell(Priority::Notice, "DrainBegan", &head);
        let plan = format!("drain plan: go: {}; stay: {}", names(PodStep::Waits), names(PodStep::Stays));
        self.said.borrow_mut().push((Priority::Notice, plan));
        self.drained.borrow_mut().unsaved = true;
    }

    pub(super) fn told_end(&self) {
        self.drained.borrow_mut().unsaved = true;
        let Some(status) = self.drain_status() else { return };
        let gone = status.count(PodStep::Gone);
        let (priority, reason, words) = match status.state {
            DrainState::Drained => (Priority::Notice, "Drained", format!("drained: {gone} pods are gone")),
            DrainState::Cancelled => (Priority::Notice, "DrainCancelled", format!("drain cancelled: {}", status.why)),
            state => {
                let words =
                    format!("drain {}: {gone} of {} pods are gone; {}", state.word(), status.going(), status.why);
                (Priority::Warning, "DrainIncomplete", words)
            }
        };
        self.tell(priority, reason, &words);
    }

    /// The program that follows a full drain, once; none where there is nothing to be done.
    pub(super) fn take_after(&self) -> Option<Vec<String>> {
        if !self.drained.borrow().drain.as_ref().is_some_and(Drain::is_to_be_followed) {
            return None;
        }
        let hold = self.facts.borrow().cordon.clone();
        let still = self.facts.borrow().connected && hold.as_ref().is_some_and(|hold| in_the_way(hold).is_none());
        let command = self.drain_rules.borrow().after_drain.command();
        let words = match &command {
            None => String::new(),
            Some(command) if still => format!("{} is run", command.join(" ")),
            Some(_) => "nothing is run: the node is no longer seen to be cordoned by us".to_owned(),
        };
        // Once, whatever comes of it: settings that change later are about later drains.
        self.with_drain(|drain| drain.after(&words));
        self.drained.borrow_mut().unsaved = true;
        command.filter(|_| still)
    }

    /// What came of it.
    pub(super) fn after_drain(&self, command: &[String], result: &Result<(), String>) {
        let program = command.join(" ");
        let (priority, words) = match result {
            Ok(()) => (Priority::Notice, format!("{program} was run")),
            Err(why) => (Priority::Warning, format!("{program} failed: {why}")),
        };
        self.with_drain(|drain| drain.after(&words));
        self.drained.borrow_mut().unsaved = true;
        self.tell(priority, "AfterDrain", &format!("after the drain: {words}"));
    }
}

/// What makes a drain stop.
pub(super) fn in_the_way(hold: &Hold) -> Option<String> {
    match hold.state.as_str() {
        "ours" if hold.stands_down.is_empty() => None,
        "ours" => Some(hold.stands_down.clone()),
        "open" | "takenOff" => Some("the node is no longer cordoned".to_owned()),
        _ => Some(hold.why.clone()),
    }
}
