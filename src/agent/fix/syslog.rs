//! `fix syslog`: logs are written once, by journald. The drop-in, the socket, the daemon's real unit; asked for by a person, with a check first of who
//! needs the daemon, and with a way back. It refuses to leave a step half-done: what was done before a failure is taken back.

use std::path::Path;
use std::time::Duration;

use super::plan::{self, CONTENT, DROP_IN, Plan, SOCKET};
use super::record::{Record, Unit};
use super::{FixError, Outcome, Report, Wish, systemd};
use crate::host::{Host, Wanted};
use crate::model::Reading;
use crate::model::watch::{JOURNALD, Logging};
use crate::sample::logging;

const LOCK: &str = "/run/node-steward/fix.lock";
const PATIENCE: Duration = Duration::from_secs(5);
const DISABLEABLE: [&str; 3] = ["enabled", "enabled-runtime", "disabled"];

/// Does what is wished.
pub fn run(host: &Host, wish: Wish) -> Result<Report, FixError> {
    let _lock = match wish {
        Wish::DryRun => None,
        Wish::Apply { .. } | Wish::Undo => Some(host.lock(Path::new(LOCK), PATIENCE)?),
    };
    match wish {
        Wish::DryRun => show(host),
        Wish::Apply { force } => apply(host, force),
        Wish::Undo => undo(host),
    }
}

fn look(host: &Host) -> Result<Logging, FixError> {
    match logging::read(host) {
        Reading::Fresh { value, .. } => Ok(value),
        Reading::Absent { why } | Reading::Failed { why } => Err(FixError::Unknown(why)),
    }
}

fn nothing(logging: &Logging, why: &str) -> Report {
    Report { outcome: Outcome::Nothing, why: why.to_owned(), steps: Vec::new(), notes: plan::notes(logging) }
}

fn show(host: &Host) -> Result<Report, FixError> {
    let logging = look(host)?;
    let Some(plan) = plan::plan(&logging, false).map_err(FixError::Refused)? else {
        return Ok(nothing(&logging, "no syslog daemon runs"));
    };
    // A recording has no systemd to ask.
    let socket = if host.is_real() { found(host, &plan)?.socket } else { plan.socket };
    Ok(Report {
        outcome: Outcome::WouldChange,
        why: why(&logging),
        steps: plan.steps(socket),
        notes: plan::notes(&logging),
    })
}

fn why(logging: &Logging) -> String {
    let doubles = logging.daemons.iter().find_map(|daemon| Some((daemon, daemon.doubles(&logging.journal)?)));
    match doubles {
        Some((daemon, way)) => format!("{} gets what the journal has ({way}), and writes it again", daemon.unit),
        None => "a syslog daemon runs beside the journal".to_owned(),
    }
}

/// The units as they are, before anything is changed.
fn found(host: &Host, plan: &Plan) -> Result<Record, FixError> {
    let mut units = Vec::new();
    let mut against = Vec::new();
    for unit in &plan.units {
        let state = systemd::state(host, unit)?;
        if !DISABLEABLE.contains(&state.file.as_str()) {
            let file = if state.file.is_empty() { "without a file" } else { state.file.as_str() };
            against.push(format!(
                "{unit} is {file}, and cannot be disabled and enabled again; `systemctl mask --now {unit}` by hand"
            ));
        }
        units.push(Unit { unit: unit.clone(), enabled: state.is_enabled(), active: state.is_active() });
    }
    if !against.is_empty() {
        return Err(FixError::Refused(against));
    }
    let socket = systemd::state(host, SOCKET)?.is_active();
    Ok(Record::new(units, socket, plan.forwards))
}

fn apply(host: &Host, force: bool) -> Result<Report, FixError> {
    let logging = look(host)?;
    let Some(plan) = plan::plan(&logging, force).map_err(FixError::Refused)? else {
        return Ok(nothing(&logging, "no syslog daemon runs"));
    };
    let now = found(host, &plan)?;
    let record = now.clone().over(Record::read(host)?);
    // The way back is on disk before the first step.
    record.write(host)?;
    if let Err(why) = steps(host, &plan, now.socket).and_then(|()| promised(host, &plan)) {
        let back = match take_back(host, &record) {
            Ok(_) => "what was done before was taken back".to_owned(),
            Err(error) => format!(
                "and taking back what was done before failed: {error}; `node-steward fix syslog --undo` tries again"
            ),
        };
        return Err(FixError::Broken { why, back });
    }
    let mut notes = plan::notes(&logging);
    notes.push("`node-steward fix syslog --undo` takes it back".to_owned());
    Ok(Report { outcome: Outcome::Applied, why: why(&logging), steps: plan.steps(now.socket), notes })
}

fn steps(host: &Host, plan: &Plan, socket: bool) -> Result<(), String> {
    let call = |args: &[&str]| systemd::call(host, args).map(drop).map_err(|error| error.to_string());
    if plan.forwards {
        let wanted = Wanted { path: DROP_IN.into(), bytes: CONTENT.as_bytes().to_vec(), mode: 0o644 };
        host.write_atomic(&wanted).map_err(|error| error.to_string())?;
        let journal = look(host).map_err(|error| error.to_string())?.journal;
        if journal.forward_to_syslog {
            return Err(format!("{} still says ForwardToSyslog=yes, whatever {DROP_IN} says", journal.forward_from));
        }
        call(&["restart", JOURNALD])?;
    }
    let stopped = plan.stopped(socket);
    call(&[&["stop"][..], &stopped].concat())?;
    let units: Vec<&str> = plan.units.iter().map(String::as_str).collect();
    call(&[&["disable"][..], &units].concat())
}

/// The host is as the steps promise.
fn promised(host: &Host, plan: &Plan) -> Result<(), String> {
    let state = |unit: &str| systemd::state(host, unit).map_err(|error| error.to_string());
    for unit in &plan.units {
        let now = state(unit)?;
        if now.is_active() || now.is_enabled() {
            return Err(format!("{unit} is still {} and {}", now.active, now.file));
        }
    }
    let socket = state(SOCKET)?;
    if socket.is_active() {
        return Err(format!("{SOCKET} is still {}", socket.active));
    }
    let journald = state(JOURNALD)?;
    if !journald.is_active() {
        return Err(format!("{JOURNALD} is {}", journald.active));
    }
    match look(host).map_err(|error| error.to_string())?.daemons.first() {
        Some(daemon) => Err(format!("{} still runs", daemon.unit)),
        None => Ok(()),
    }
}

fn undo(host: &Host) -> Result<Report, FixError> {
    let Some(record) = Record::read(host)? else {
        return Ok(nothing(&look(host)?, "nothing was applied, or it was taken back already"));
    };
    let (steps, notes) = take_back(host, &record).map_err(|why| FixError::Broken {
        why,
        back: "the record of it is kept: --undo can be tried again".to_owned(),
    })?;
    Ok(Report { outcome: Outcome::Undone, why: "the host logs as it did before".to_owned(), steps, notes })
}

/// Takes all of it back, as far as it is there; what was done and what was left.
fn take_back(host: &Host, record: &Record) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut done, mut notes) = (Vec::new(), Vec::new());
    let mut call = |args: &[&str]| {
        done.push(format!("systemctl {}", args.join(" ")));
        systemd::call(host, args).map(drop).map_err(|error| error.to_string())
    };
    let mut removed = false;
    if record.drop_in {
        let there = host.read(Path::new(DROP_IN), 1 << 16).map_err(|error| error.to_string())?;
        match there {
            Some(bytes) if bytes == CONTENT.as_bytes() => {
                host.remove(Path::new(DROP_IN)).map_err(|error| error.to_string())?;
                removed = true;
            }
            Some(_) => notes.push(format!("{DROP_IN} was changed by somebody and stays")),
            None => notes.push(format!("{DROP_IN} is gone already")),
        }
    }
    for unit in record.units.iter().filter(|unit| unit.enabled) {
        call(&["enable", &unit.unit])?;
    }
    // The socket first: with its daemon running it would refuse to start.
    let active: Vec<&str> = record.units.iter().filter(|unit| unit.active).map(|unit| unit.unit.as_str()).collect();
    if record.socket && !systemd::state(host, SOCKET).map_err(|error| error.to_string())?.is_active() {
        for unit in &active {
            if systemd::state(host, unit).map_err(|error| error.to_string())?.is_active() {
                call(&["stop", unit])?;
            }
        }
        call(&["start", SOCKET])?;
    }
    if !active.is_empty() {
        call(&[&["start"][..], &active].concat())?;
    }
    if removed {
        call(&["restart", JOURNALD])?;
        done.insert(0, format!("remove {DROP_IN}"));
    }
    for unit in &record.units {
        let now = systemd::state(host, &unit.unit).map_err(|error| error.to_string())?;
        if (unit.active && !now.is_active()) || (unit.enabled && !now.is_enabled()) {
            return Err(format!("{} is {} and {}", unit.unit, now.active, now.file));
        }
    }
    Record::remove(host).map_err(|error| error.to_string())?;
    Ok((done, notes))
}
