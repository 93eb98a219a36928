//! `drain`: the plan first, then the daemon is asked, then a line for each pod as it goes. It refuses to drain by itself: whoever interrupts it stops the showing
//! alone.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{Common, DrainArgs, Output};
use super::ask::{self, AskError};
use super::grid::plain;
use super::{Ending, Failure};
use crate::model::drain::{DrainPod, DrainState, DrainStatus, PodStep};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);
/// A daemon that is being restarted is waited for so many looks.
const PATIENCE: u32 = 120;
/// Of the bar.
const CELLS: usize = 30;

#[derive(Debug, Deserialize)]
struct Answer {
    node: String,
    changed: bool,
    drain: Option<DrainStatus>,
}

pub(super) fn run(common: &Common, options: &DrainArgs) -> Result<Ending, Failure> {
    let socket = ask::socket(common, options.order.socket.as_deref())?;
    let order = |what: &str| {
        let mut order = json!({"what": what, "reason": options.order.reason});
        if let Some(by) = &options.order.by {
            order["by"] = by.clone().into();
        }
        if !options.allow.is_empty() {
            order["allow"] = options.allow.iter().map(|one| one.word()).collect();
        }
        order
    };
    let json = common.output == Output::Json;
    if options.cancel {
        let body = ask::post(&socket, "/v1/drain", &order("cancel"))?;
        let answer: Answer = ask::parse(&body)?;
        let words = if answer.changed { "cancelled; the node stays cordoned" } else { "none goes on" };
        return show(json, &body, &format!("drain of node {}: {words}", plain(&answer.node)));
    }
    let body = ask::post(&socket, "/v1/drain", &order("plan"))?;
    let plan: Answer = ask::parse(&body)?;
    let text = plan.drain.as_ref().map(planned).unwrap_or_default();
    if options.plan {
        return show(json, &body, text.trim_end());
    }
    if !json {
        anstream::stdout().write_all(text.as_bytes())?;
    }
    let mut wish = order("begin");
    if let Some(deadline) = options.deadline {
        wish["deadline"] = json!(deadline);
    }
    let body = ask::post(&socket, "/v1/drain", &wish)?;
    let begun: Answer = ask::parse(&body)?;
    let words = if begun.changed { "begins" } else { "goes on already" };
    let head = format!("node {}: cordoned, drain {words}", plain(&begun.node));
    if options.no_wait {
        return show(json, &body, &head);
    }
    if !json {
        super::print_line(&head)?;
    }
    let (body, drain) = follow(&socket, json)?;
    show(json, &body, &last(&drain))?;
    Ok(match drain.state {
        DrainState::Drained => Ending::Fine,
        DrainState::Partial | DrainState::Blocked => Ending::Problems,
        _ => Ending::Failed,
    })
}

fn show(json: bool, body: &[u8], text: &str) -> Result<Ending, Failure> {
    if json {
        super::print_json(&serde_json::from_slice::<Value>(body)?)?;
    } else {
        super::print_line(text)?;
    }
    Ok(Ending::Fine)
}

/// Who goes, who stays and why, who is left alone.
fn planned(plan: &DrainStatus) -> String {
    let mut text = String::new();
    for (step, word) in [(PodStep::Waits, "goes"), (PodStep::Ending, "ends"), (PodStep::Stays, "stays")] {
        for pod in plan.pods.iter().filter(|pod| pod.step == step) {
            text.push_str(&line(word, pod));
            text.push('\n');
        }
    }
    let left = plan.count(PodStep::Skipped);
    text.push_str(&format!("plan: {} go, {} stay, {left} are left alone\n", plan.going(), plan.count(PodStep::Stays)));
    text
}

fn line(word: &str, pod: &DrainPod) -> String {
    let why = if pod.why.is_empty() { String::new() } else { format!(": {}", pod.why) };
    plain(&format!("{word:<6}  {pod}{why}"))
}

/// Prints what changes until the drain is at its end.
fn follow(socket: &Path, quiet: bool) -> Result<(Vec<u8>, DrainStatus), Failure> {
    let bar = io::stdout().is_terminal() && !quiet;
    let mut before: BTreeMap<String, (PodStep, String)> = BTreeMap::new();
    let mut missed = 0;
    loop {
        match ask::get(socket, "/v1/drain") {
            Err(error @ (AskError::NotRunning(..) | AskError::Late(..) | AskError::Broken(..))) => {
                missed += 1;
                if missed >= PATIENCE {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
            Ok(body) => {
                missed = 0;
                let answer: Answer = ask::parse(&body)?;
                let drain = answer.drain.unwrap_or_default();
                let mut out = String::new();
                for pod in &drain.pods {
                    let now = (pod.step, pod.why.clone());
                    if before.get(&pod.to_string()) != Some(&now) && moves(pod) {
                        out.push_str(&line(pod.step.word(), pod));
                        out.push('\n');
                    }
                    before.insert(pod.to_string(), now);
                }
                let ended = drain.state != DrainState::Running;
                if bar {
                    out = format!("\r\x1b[K{out}{}", if ended { String::new() } else { gauge(&drain) });
                }
                if !quiet {
                    io::stdout().write_all(out.as_bytes())?;
                    io::stdout().flush()?;
                }
                if ended {
                    return Ok((body, drain));
                }
            }
        }
        std::thread::sleep(PERIOD);
    }
}

/// What the plan has said already is not said again.
fn moves(pod: &DrainPod) -> bool {
    match pod.step {
        PodStep::Skipped | PodStep::Stays => false,
        PodStep::Waits => !pod.why.is_empty(),
        PodStep::Ending | PodStep::Gone | PodStep::GivenUp => true,
    }
}

fn gauge(drain: &DrainStatus) -> String {
    let (gone, all) = (drain.count(PodStep::Gone), drain.going());
    let full = (gone * CELLS).checked_div(all).unwrap_or(0);
    let waits = drain.pods.iter().filter(|pod| pod.step == PodStep::Waits && !pod.why.is_empty()).count();
    let why = if drain.why.is_empty() { String::new() } else { format!("; {}", plain(&drain.why)) };
    format!("[{}{}] {gone} of {all} gone, {waits} refused so far{why}", "#".repeat(full), "-".repeat(CELLS - full))
}

fn last(drain: &DrainStatus) -> String {
    let (gone, all) = (drain.count(PodStep::Gone), drain.going());
    let head = match drain.state {
        DrainState::Drained => format!("drained: {gone} pods are gone"),
        state => format!("{}: {gone} of {all} pods are gone; the node stays cordoned", state.word()),
    };
    if drain.why.is_empty() { head } else { plain(&format!("{head}: {}", drain.why)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, step: PodStep, why: &str) -> DrainPod {
        DrainPod { namespace: "n".to_owned(), name: name.to_owned(), step, why: why.to_owned() }
    }

    fn drain(state: DrainState) -> DrainStatus {
        let pods = vec![
            pod("a", PodStep::Gone, ""),
            pod("b", PodStep::Waits, "the disruption budget web needs 2"),
            pod("c", PodStep::Stays, "it is a Job's"),
            pod("d", PodStep::Skipped, "of a DaemonSet"),
        ];
        DrainStatus { state, pods, ..DrainStatus::default() }
    }

    #[test]
    fn a_plan_names_who_goes_and_who_stays() {
        let text = planned(&drain(DrainState::Plan));
        assert_eq!(
            text,
            "goes    n/b: the disruption budget web needs 2\nstays   n/c: it is a Job's\nplan: 2 go, 1 stay, 1 are left alone\n"
        );
    }

    #[test]
    fn the_bar_counts_what_is_gone() {
        let text = gauge(&drain(DrainState::Running));
        assert_eq!(text, format!("[{}{}] 1 of 2 gone, 1 refused so far", "#".repeat(15), "-".repeat(15)));
        let none = DrainStatus::default();
        assert_eq!(gauge(&none), format!("[{}] 0 of 0 gone, 0 refused so far", "-".repeat(30)));
    }

    #[test]
    fn an_end_says_what_is_left() {
        assert_eq!(last(&drain(DrainState::Drained)), "drained: 1 pods are gone");
        let blocked = DrainStatus { why: "still there: n/b".to_owned(), ..drain(DrainState::Blocked) };
        assert_eq!(last(&blocked), "blocked: 1 of 2 pods are gone; the node stays cordoned: still there: n/b");
    }

    #[test]
    fn only_what_moves_is_a_line() {
        let moving: Vec<_> = drain(DrainState::Running).pods.into_iter().filter(moves).map(|pod| pod.name).collect();
        assert_eq!(moving, ["a", "b"]);
    }
}
