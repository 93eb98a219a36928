//! `ClockUnsynchronized`: nobody tells the kernel that its clock is right. It refuses to compare clocks itself: that would need the network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};
use crate::model::watch::ClockState;

/// The name of the problem.
pub const CLOCK_UNSYNCHRONIZED: Kind = Kind::new("ClockUnsynchronized");

/// The detector.
pub struct ClockUnsynchronized;

/// `[detect.clock_unsynchronized]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// It begins when the kernel has called its clock unsynchronized for so long; a time service needs some of it after boot.
    pub enter_after: Span,
    /// It ends when it has called it synchronized for so long.
    pub clear_after: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { enter_after: Span::minutes(15), clear_after: Span::minutes(1) }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// Since when it is as it is now.
    since: Mono,
    synchronized: bool,
    /// Whether it ever was while this was looked at.
    ever: bool,
    /// When it last began not to be.
    lost: Mono,
    on: bool,
}

impl Detector for ClockUnsynchronized {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "clock_unsynchronized";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: CLOCK_UNSYNCHRONIZED,
        severity: Severity::Warning,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "No time service keeps the kernel's clock right. A clock that is off makes certificates and tokens invalid (kubelet loses the API server), signed requests to the \
                  cloud fail past five minutes, and orders log lines and leases wrongly.",
        advice: "See why the time service does not keep the clock (chronyc tracking, timedatectl timesync-status): not running, no server reached, or UDP port 123 closed.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let clock = &scene.samples.clock;
        let Some(now) = clock.value() else { return Look::unknown(clock.reading.origin()) };
        let at = clock.taken;
        if memory.since == Mono(0) || memory.synchronized != now.synchronized {
            if !now.synchronized {
                memory.lost = at;
            }
            (memory.since, memory.synchronized) = (at, now.synchronized);
        }
        memory.ever |= now.synchronized;
        let as_it_is = at.since_ms(memory.since);
        memory.on = match now.synchronized {
            true => memory.on && as_it_is < rules.clear_after.ms(),
            false => memory.on || as_it_is >= rules.enter_after.ms(),
        };
        if !memory.on {
            return Look::at(Vec::new());
        }
        let ec2 = scene.samples.instance_type.value().is_some();
        Look::at(vec![finding(now, memory, at, ec2)])
    }
}

fn finding(now: &ClockState, memory: &Kept, at: Mono, ec2: bool) -> Finding {
    let minutes = at.since_ms(memory.since) / 60_000;
    let error_ms = now.max_error_us / 1000;
    let (how, how_long) = match memory.ever {
        true => ("is no longer kept right by anybody", format!("for {} min", at.since_ms(memory.lost) / 60_000)),
        false => ("was never set right since it was first looked at", format!("{minutes} min ago")),
    };
    let mut evidence = vec![
        Evidence::text("the kernel's flag", if now.synchronized { "synchronized" } else { "STA_UNSYNC" }),
        Evidence::count("so for", minutes, "min"),
        Evidence::count("largest possible error", error_ms, "ms"),
        Evidence::text("was synchronized before", if memory.ever { "yes" } else { "no" }),
    ];
    // 16 s is as far as the kernel counts.
    if now.max_error_us >= 16_000_000 {
        evidence.push(Evidence::text("note", "the kernel counts errors up to 16 s: it may be any"));
    }
    let server = if ec2 {
        "On EC2 the time service is at 169.254.169.123 and needs no route and no port open; its packets count against the 1,024 a second that an interface may send to \
         link-local addresses, so a storm of DNS queries can starve it."
    } else {
        "It needs one server that it reaches (UDP port 123)."
    };
    Finding {
        kind: CLOCK_UNSYNCHRONIZED,
        subject: "node".to_owned(),
        severity: Severity::Warning,
        summary: format!("the clock {how}, {how_long}; it may be wrong by {}", error(now.max_error_us)),
        advice: format!("See `chronyc tracking` or `timedatectl timesync-status`, and that the service runs. {server}"),
        evidence,
        device: None,
    }
}

fn error(us: u64) -> String {
    match us {
        16_000_000.. => "16 s or more".to_owned(),
        1_000_000.. => format!("{} s", us / 1_000_000),
        _ => format!("{} ms", us / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::Samples;

    fn play(kept: &mut Kept, minute: u64, synchronized: bool) -> Option<String> {
        let state = ClockState {
            synchronized,
            max_error_us: if synchronized { 3000 } else { 16_000_000 },
            estimated_error_us: 0,
        };
        let samples = Samples { clock: made::fresh(minute * 60, state), ..Samples::default() };
        let look = made::look::<ClockUnsynchronized>(kept, minute * 60, &samples, &Default::default());
        look.findings.first().map(|finding| finding.summary.clone())
    }

    #[test]
    fn a_quarter_of_an_hour_begins_it_and_a_minute_ends_it() {
        let mut kept = Kept::default();
        for minute in 1..16 {
            assert_eq!(play(&mut kept, minute, false), None, "{minute}");
        }
        let said = play(&mut kept, 16, false).unwrap();
        assert_eq!(
            said,
            "the clock was never set right since it was first looked at, 15 min ago; it may be wrong by 16 s or more"
        );
        assert!(play(&mut kept, 17, true).is_some());
        assert_eq!(play(&mut kept, 18, true), None);
        assert_eq!(play(&mut kept, 19, false), None, "a moment is nothing");
        assert_eq!(play(&mut kept, 20, true), None);
        assert_eq!(play(&mut kept, 21, false), None);
        let said = play(&mut kept, 36, false).unwrap();
        assert_eq!(said, "the clock is no longer kept right by anybody, for 15 min; it may be wrong by 16 s or more");
        let blind = made::look::<ClockUnsynchronized>(&mut kept, 1, &Samples::default(), &Default::default());
        assert!(matches!(blind.standing, crate::model::status::Standing::Unknown { .. }));
    }
}
