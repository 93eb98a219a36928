//! What the node used, kept from turn to turn: samples become points of a history. It refuses to judge it: `reserve::measured` does, when somebody asks.

use serde::{Deserialize, Serialize};

use crate::model::Bytes;
use crate::model::time::{Mono, Now};
use crate::model::usage::{History, Point, Use};
use crate::model::watch::{Part, Samples};

/// In minutes since 1970.
const YEAR_2020: u32 = 26_297_280;
/// CPU over a longer time says nothing of its minutes.
const LONGEST_MS: u64 = 300_000;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    history: History,
    /// Of the sample that was taken last: when, and CPU time of kube and system by then.
    taken: Mono,
    cpu_us: (Option<u64>, Option<u64>),
}

impl Usage {
    /// Takes a sample where it is new; true where a point of the history began with it.
    pub fn take(&mut self, now: &Now, samples: &Samples) -> bool {
        let outside = &samples.outside_pods;
        let Some(seen) = outside.value().filter(|_| outside.taken > self.taken) else { return false };
        let ms = outside.taken.since_ms(self.taken);
        let after = (seen.kube.cpu_us, seen.system.cpu_us);
        let known = self.taken != Mono(0) && ms <= LONGEST_MS;
        let [kube_us, system_us] = if known { worked(self.cpu_us, after) } else { [None, None] };
        (self.taken, self.cpu_us) = (outside.taken, after);
        let of = |part: &Part, cpu_us: Option<u64>| Use {
            memory_mib: mib(part.held_bytes),
            // Microseconds a millisecond are thousandths of a core.
            cpu_m: cpu_us.and_then(|us| us.checked_div(ms)).map(small),
            tasks: part.tasks.map(small),
            kernel_peak_mib: part.peak_bytes.map(mib),
        };
        let (kube, system) = (of(&seen.kube, kube_us), of(&seen.system, system_us));
        // A clock that nobody has set yet would put what is kept out of order.
        let Some(minute) = u32::try_from(now.wall.0 / 60_000).ok().filter(|minute| *minute >= YEAR_2020) else {
            return false;
        };
        self.history.take(Point { minute, pods: seen.pods, containers: seen.containers, kube, system })
    }

    /// What there is.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Puts an older history before it.
    pub fn remember(&mut self, older: History) {
        self.history = std::mem::take(&mut self.history).after(older);
    }
}

/// CPU time of kube and of the system from one sample to the next. A cgroup that went takes its count along, and one beneath another leaves it to that one
/// as if it had used all of it just now: where either count went back, or came or went, neither is known.
fn worked(before: (Option<u64>, Option<u64>), after: (Option<u64>, Option<u64>)) -> [Option<u64>; 2] {
    let pairs = [(before.0, after.0), (before.1, after.1)];
    if pairs.iter().any(|(before, after)| before.is_some() != after.is_some() || after < before) {
        return [None, None];
    }
    pairs.map(|(before, after)| Some(after?.saturating_sub(before?)))
}

fn mib(bytes: u64) -> u32 {
    small(Bytes(bytes.saturating_add((1 << 20) - 1)).mib())
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reading;
    use crate::model::time::Wall;
    use crate::model::watch::{OutsidePods, Sampled};

    fn look(usage: &mut Usage, minute: u64, taken: u64, kube: Part, system: Part) -> bool {
        let seen = OutsidePods { kube, system, pods: 2, containers: 5, ..OutsidePods::default() };
        let samples = Samples {
            outside_pods: Sampled::at(Mono(taken * 60_000), Reading::fresh(seen, "made")),
            ..Samples::default()
        };
        let wall = Wall(1_699_999_200_000 + i64::try_from(minute).unwrap() * 60_000);
        usage.take(&Now { mono: Mono(minute * 60_000), wall, boot_id: String::new() }, &samples)
    }

    fn part(mib: u64, cpu_us: Option<u64>) -> Part {
        Part { held_bytes: mib << 20, cpu_us, tasks: Some(7), peak_bytes: Some((mib + 50) << 20) }
    }

    #[test]
    fn samples_become_points_once_each() {
        let mut usage = Usage::default();
        let mut look = |minute, taken, mib, cpu_us| look(&mut usage, minute, taken, part(mib, cpu_us), Part::default());
        assert!(look(1, 1, 100, Some(9_000_000)));
        assert!(!look(2, 2, 120, Some(39_000_000)), "the same quarter of an hour");
        assert!(!look(3, 2, 500, Some(0)), "the same sample again");
        assert!(!look(4, 4, 90, Some(41_000_000)));
        assert!(look(20, 20, 80, None));
        let points = usage.history().points();
        // Half a core in one minute.
        let first = Use { memory_mib: 120, cpu_m: Some(500), tasks: Some(7), kernel_peak_mib: Some(170) };
        assert_eq!(points[0].kube, first);
        assert_eq!(points[0].system, Use::default(), "what is not counted is none");
        assert_eq!((points[0].pods, points[0].containers, points[1].kube.cpu_m), (2, 5, None));
        assert!(usage.history().points()[0].minute.is_multiple_of(15));
    }

    #[test]
    fn a_daemon_that_starts_anew_is_no_burst_of_the_system() {
        let mut usage = Usage::default();
        let minute = 60_000_000;
        // kubelet has used an hour, and lies beneath system.slice, whose count keeps that hour when kubelet's cgroup goes.
        for (at, kube, system) in [(1, 3_600, 100), (2, 3_606, 112), (3, 1, 3_724), (4, 7, 3_736)] {
            let at_minute = at * 20;
            look(
                &mut usage,
                at_minute,
                at_minute - 1,
                part(1, Some(kube * 1_000_000)),
                part(1, Some(system * 1_000_000)),
            );
            look(
                &mut usage,
                at_minute + 1,
                at_minute,
                part(1, Some(kube * 1_000_000 + minute / 10)),
                part(1, Some(system * 1_000_000 + minute / 5)),
            );
        }
        let cpu: Vec<_> = usage.history().points().iter().map(|point| (point.kube.cpu_m, point.system.cpu_m)).collect();
        assert_eq!(cpu, vec![(Some(100), Some(200)); 4]);
        // Within five minutes of each other, the second of which begins anew.
        let mut usage = Usage::default();
        look(&mut usage, 1, 1, part(1, Some(3_600_000_000)), part(1, Some(100_000_000)));
        look(&mut usage, 2, 2, part(1, Some(1_000_000)), part(1, Some(3_701_000_000)));
        let point = usage.history().points()[0];
        assert_eq!((point.kube.cpu_m, point.system.cpu_m), (None, None));
    }
}
