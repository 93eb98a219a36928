//! Kernel records of a turn become findings that last for a while: a line is a moment, and nobody logs that it is over. It refuses records that it
//! has seen, and records older than it would still report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Found, find};
use super::rule::Notes;
use crate::model::problem::{Entry, Evidence, Finding};
use crate::model::status::Standing;
use crate::model::time::{Mono, Now, Span};
use crate::model::watch::{Layer, PodName, Record, Samples};

/// `[rules]`: rules over the kernel's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How long a problem lasts after the last line that told of it.
    pub hold: Span,
    /// Rules that are switched off, by the kind that they find.
    pub off: Vec<RuleName>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { hold: Span::minutes(10), off: Vec::new() }
    }
}

/// The name of a built-in rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct RuleName(String);

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if super::ALL.iter().any(|rule| rule.entry.kind.as_str() == name) {
            return Ok(Self(name));
        }
        let known: Vec<&str> = super::ALL.iter().map(|rule| rule.entry.kind.as_str()).collect();
        Err(serde::de::Error::custom(format!("no rule is called {name:?}; there are {}", known.join(", "))))
    }
}

/// What is kept between turns; survives restarts in one boot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The newest record seen.
    seq: Option<u64>,
    /// What was found, with the moment of the newest line.
    open: Vec<(Mono, Finding)>,
    notes: Notes,
}

/// Subjects beyond this many are dropped, the oldest first.
const MOST_OPEN: usize = 64;
/// A line is quoted up to here.
const MOST_QUOTED: usize = 300;

/// The rules, their settings and their memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reader {
    rules: Rules,
    memory: Memory,
}

impl Reader {
    /// The kinds that the rules find.
    pub fn entries() -> impl Iterator<Item = &'static Entry> {
        super::ALL.iter().map(|rule| &rule.entry)
    }

    /// Takes new settings.
    pub fn configure(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// To be stored.
    pub fn save(&self) -> Memory {
        self.memory.clone()
    }

    /// Takes what was stored in this boot.
    pub fn load(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// The kinds that it speaks for: those that are not off.
    pub fn spoken(&self) -> impl Iterator<Item = &'static Entry> {
        Self::entries().filter(|entry| !self.rules.off.iter().any(|name| name.0 == entry.kind.as_str()))
    }

    /// One turn: what is wrong by the log, and whether the log could be read.
    pub fn look(&mut self, now: &Now, samples: &Samples) -> (Vec<Finding>, Standing) {
        let names = samples.names.value().map_or(&[][..], Vec::as_slice);
        let mut standing = match &samples.kernel_log.unreadable {
            Some(why) => Standing::Unknown { why: why.clone() },
            None => Standing::Working,
        };
        for record in &samples.kernel_log.records {
            if self.memory.seq.is_some_and(|seen| record.seq <= seen) {
                continue;
            }
            self.memory.seq = Some(record.seq);
            if let Err(why) = self.read(now, record, names, samples) {
                standing = Standing::Unknown { why };
            }
        }
        self.memory.open.retain(|(last, _)| now.mono.since_ms(*last) < self.rules.hold.ms());
        (self.memory.open.iter().map(|(_, finding)| finding.clone()).collect(), standing)
    }

    fn read(&mut self, now: &Now, record: &Record, names: &[PodName], samples: &Samples) -> Result<(), String> {
        let at = moment(now.mono, record);
        let Some(found) = find(record, at, names, &mut self.memory.notes)? else { return Ok(()) };
        if self.rules.off.iter().any(|name| name.0 == found.rule.entry.kind.as_str()) {
            return Ok(());
        }
        let finding = finding(found, record, samples);
        let same = |other: &Finding| other.kind == finding.kind && other.subject == finding.subject;
        match self.memory.open.iter_mut().find(|(_, other)| same(other)) {
            Some((last, other)) => {
                *last = at.max(*last);
                // A file system that has been given up is not better because a smaller line followed.
                if finding.severity >= other.severity {
                    *other = finding;
                }
            }
            None => {
                self.memory.open.push((at, finding));
                let excess = self.memory.open.len().saturating_sub(MOST_OPEN);
                self.memory.open.drain(..excess);
            }
        }
        Ok(())
    }
}

/// When a record was logged. The log's clock is not disciplined and drifts from CLOCK_MONOTONIC; within that drift a record is new.
fn moment(now: Mono, record: &Record) -> Mono {
    let logged = Mono(record.at_us / 1000);
    let drift_ms = 1_000 + now.0 / 10_000;
    if now.since_ms(logged) <= drift_ms { now } else { logged }
}

fn finding(found: Found, record: &Record, samples: &Samples) -> Finding {
    let Found { rule, case, captures } = found;
    let line: String = record.text.chars().take(MOST_QUOTED).collect();
    let logged =
        Evidence { name: "logged".into(), value: (record.at_us / 1_000_000).into(), unit: "s after boot".into() };
    let mut evidence = vec![Evidence::text("line", line), logged];
    let of_rule = captures.into_iter().filter(|(name, _)| name != "message");
    evidence.extend(of_rule.map(|(name, value)| Evidence { name: name.into(), value: value.into(), unit: "".into() }));
    if !record.device.is_empty() {
        evidence.push(Evidence::text("kernel device", record.device.clone()));
    }
    let devices = samples.devices.value().map_or(&[][..], Vec::as_slice);
    let device = devices.iter().find(|device| device.name == case.subject);
    let mounts = samples.mounts.value().map_or(&[][..], Vec::as_slice);
    evidence.extend(
        mounts
            .iter()
            .find(|mount| device.is_some_and(|device| device.dev == mount.dev) && mount.root == "/")
            .map(|mount| Evidence::text("mount point", mount.point.clone())),
    );
    // A disk's failed requests are told once, whichever of its partitions they were for.
    let subject = match device {
        Some(device)
            if rule.entry.kind.as_str() == "BlockIoError"
                && device.layer == Layer::Partition
                && device.disks.len() == 1 =>
        {
            device.disks.concat()
        }
        _ => case.subject,
    };
    Finding {
        kind: rule.entry.kind.clone(),
        subject,
        severity: case.severity,
        summary: case.summary,
        advice: case.advice,
        evidence,
        // Errors are nobody's doing: whoever reads and writes is not to blame.
        device: None,
    }
}

#[cfg(test)]
mod tests;
