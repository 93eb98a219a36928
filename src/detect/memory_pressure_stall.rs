//! `MemoryPressureStall`: all that want to work wait for memory (PSI `full`) for a good part of the time. It refuses the free memory as a sign: a full page
//! cache is no shortage, and a cgroup at its own limit stalls while the node has plenty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::ratio;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::{Mono, Span};
use crate::model::watch::Memory;

/// The name of the problem.
pub const MEMORY_PRESSURE_STALL: Kind = Kind::new("MemoryPressureStall");
/// With more than this share of the memory available, it is not the node that is short of it.
const PLENTY_PERCENT: f64 = 20.0;

/// The detector.
pub struct MemoryPressureStall;

/// `[detect.memory_pressure_stall]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// The waiting is measured over so long.
    pub window: Span,
    /// Warning when all wait for this percentage of a window...
    pub warn_percent: f64,
    /// ...critical for this...
    pub critical_percent: f64,
    /// ...so many windows in a row.
    pub enter_windows: u32,
    /// It ends below this percentage...
    pub clear_percent: f64,
    /// ...so many windows in a row.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: Span::seconds(30),
            warn_percent: 10.0,
            critical_percent: 40.0,
            enter_windows: 2,
            clear_percent: 5.0,
            clear_windows: 4,
        }
    }
}

/// What is kept: where the window began, and how the last one was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    from: Mono,
    full_us: u64,
    some_us: u64,
    /// Of the last window: all waited, somebody waited; parts of 1.
    last: Option<(f64, f64)>,
    warned: Hold,
    critical: Hold,
}

impl Detector for MemoryPressureStall {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "memory_pressure_stall";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: MEMORY_PRESSURE_STALL,
        severity: Severity::Critical,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "Everything that could run waits for memory: pages are thrown away and read again from disk. The node crawls, often without the OOM killer doing anything, \
                  kubelet misses its heartbeats, and eviction, which looks every 10 s at the memory that is available, may not see it.",
        advice: "Reserve more for the system and kubelet, raise memory.available in evictionHard or give evictionSoft, set memory requests near what pods use, or take a larger \
                 machine. Where the node has memory left, a pod is at its own limit: raise that.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let pressure = &scene.samples.pressure;
        let Some(value) = pressure.value() else { return Look::unknown(pressure.reading.origin()) };
        let Some(stall) = value.node.memory else { return Look::unknown("there is no /proc/pressure/memory") };
        let first = memory.from == Mono(0);
        let passed_us = pressure.taken.since_ms(memory.from).saturating_mul(1000);
        // A counter that moves back begins anew.
        if first || stall.full_us < memory.full_us || stall.some_us < memory.some_us {
            (memory.from, memory.full_us, memory.some_us) = (pressure.taken, stall.full_us, stall.some_us);
        } else if passed_us >= rules.window.ms().saturating_mul(1000) {
            let share = |now: u64, before: u64| ratio(now - before, passed_us).min(1.0);
            let last = (share(stall.full_us, memory.full_us), share(stall.some_us, memory.some_us));
            (memory.from, memory.full_us, memory.some_us) = (pressure.taken, stall.full_us, stall.some_us);
            memory.take(rules, last);
        }
        let severity = match (memory.critical.is_on(), memory.warned.is_on()) {
            (true, _) => Severity::Critical,
            (_, true) => Severity::Warning,
            _ if memory.last.is_none() => {
                let why = format!("the first window of {} is not over", rules.window);
                return Look { standing: Standing::Learning { why }, ..Look::at(Vec::new()) };
            }
            _ => return Look::at(Vec::new()),
        };
        Look::at(
            memory.last.map(|last| finding(rules, severity, last, scene.samples.memory.value())).into_iter().collect(),
        )
    }
}

impl Kept {
    fn take(&mut self, rules: &Rules, last: (f64, f64)) {
        self.last = Some(last);
        let full = last.0 * 100.0;
        let patience = Patience { enter: rules.enter_windows, among: rules.enter_windows, clear: rules.clear_windows };
        let sign = |from: f64, to: f64| match (full >= from, full < to) {
            (true, _) => Sign::Sick,
            (false, true) => Sign::Well,
            (false, false) => Sign::Neither,
        };
        self.warned.take(sign(rules.warn_percent, rules.clear_percent), patience);
        // It is no longer critical as soon as it is only a warning, and stays that.
        let less = Patience { clear: 1, ..patience };
        self.critical.take(sign(rules.critical_percent, rules.critical_percent / 2.0), less);
    }
}

fn finding(rules: &Rules, severity: Severity, (full, some): (f64, f64), memory: Option<&Memory>) -> Finding {
    let (full, some) = (full * 100.0, some * 100.0);
    let window = rules.window;
    let mut evidence = vec![
        Evidence::number("all waited for memory", full, "%"),
        Evidence::number("somebody waited for memory", some, "%"),
        Evidence::count("in a window of at least", window.ms() / 1000, "s"),
    ];
    let mut summary = format!("everything waits for memory for {full:.0} % of the time");
    let mut advice = String::new();
    let mut severity = severity;
    if let Some(memory) = memory {
        let (left, all) = (memory.available_bytes, memory.total_bytes);
        let percent = ratio(left, all) * 100.0;
        let (left_mib, all_mib) = (left >> 20, all >> 20);
        evidence.push(Evidence::count("available", left_mib, "MiB"));
        evidence.push(Evidence::count("of", all_mib, "MiB"));
        summary.push_str(&format!("; {left_mib} of {all_mib} MiB are available ({percent:.0} %)"));
        advice = if percent > PLENTY_PERCENT {
            // On an otherwise idle node one container at its own limit is everything that runs.
            severity = Severity::Advice;
            format!(
                "{left_mib} MiB are available, so the node itself is not short of memory: a cgroup is at its own limit. Look for the one whose memory.pressure grows \
                 (grep . /sys/fs/cgroup/kubepods.slice/*/*/memory.pressure) and raise its limit."
            )
        } else {
            // A twentieth of the machine, as much as most formulas keep for a node of this size, and never under kubelet's own 100 MiB.
            let margin = (all_mib / 20).max(100);
            format!(
                "Only {left_mib} MiB are left. kubelet looks every 10 s and evicts by memory.available, 100Mi by default: memory.available={margin}Mi in evictionHard \
                 would act earlier on a machine of {all_mib} MiB. See `node-steward reserve` for what should be reserved."
            )
        };
    }
    Finding {
        kind: MEMORY_PRESSURE_STALL,
        subject: "node".to_owned(),
        severity,
        summary,
        advice,
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{NodePressure, Pressure, Samples, Stall};

    fn samples(at: u64, full_ms: u64, available: u64) -> Samples {
        let memory = Some(Stall { some_us: full_ms * 1500, full_us: full_ms * 1000 });
        let node = Pressure { io: Some(Stall::default()), memory, cpu: None };
        Samples {
            pressure: made::fresh(at, NodePressure { node, groups: Vec::new() }),
            memory: made::fresh(at, Memory { total_bytes: 8 << 30, available_bytes: available << 20 }),
            ..Samples::default()
        }
    }

    /// Percent of each 10 s in which all waited.
    fn play(percents: &[u64]) -> String {
        let (mut kept, mut waited) = (Kept::default(), 0);
        let mut seen = String::new();
        for (turn, percent) in (1..).zip(percents) {
            waited += percent * 100;
            let found = made::turn::<MemoryPressureStall>(&mut kept, turn * 10, &samples(turn * 10, waited, 300));
            seen.push(match found.first().map(String::as_str) {
                None => '.',
                Some("MemoryPressureStall node warning") => '+',
                Some("MemoryPressureStall node critical") => '#',
                other => panic!("{other:?}"),
            });
        }
        seen
    }

    #[test]
    fn two_windows_begin_it_and_four_end_it() {
        assert_eq!(play(&[0, 90, 0, 0, 0, 0, 0, 0, 0, 0]), "..........", "one burst");
        assert_eq!(play(&[[0].as_slice(), &[20; 6], &[0; 14]].concat()), "......++++++++++++...");
        assert_eq!(play(&[[0].as_slice(), &[60; 6], &[15; 6]].concat()), "......###++++");
    }

    #[test]
    fn who_is_short_of_memory_is_told_apart() {
        for (available, severity, words) in [
            (300, Severity::Warning, "evictionHard would act earlier on a machine of 8192 MiB"),
            (5000, Severity::Advice, "a cgroup is at its own limit"),
        ] {
            let mut kept = Kept::default();
            for turn in 1..8 {
                let look = made::look::<MemoryPressureStall>(
                    &mut kept,
                    turn * 10,
                    &samples(turn * 10, turn * 3000, available),
                    &Default::default(),
                );
                if turn == 1 {
                    assert!(matches!(look.standing, Standing::Learning { .. }));
                }
                if turn == 7 {
                    let finding = &look.findings[0];
                    assert_eq!(finding.severity, severity);
                    assert!(
                        finding.advice.replace("memory.available=409Mi in ", "").contains(words),
                        "{}",
                        finding.advice
                    );
                    assert!(
                        finding.summary.starts_with("everything waits for memory for 30 % of the time; "),
                        "{}",
                        finding.summary
                    );
                }
            }
        }
        let none =
            made::look::<MemoryPressureStall>(&mut Kept::default(), 10, &Samples::default(), &Default::default());
        assert!(matches!(none.standing, Standing::Unknown { .. }));
    }
}
