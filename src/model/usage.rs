//! What the system and the kube daemons used, over days: a small ring of points. It refuses to grow, and to hold anything but counts.

use serde::{Deserialize, Serialize};

/// A point covers so many minutes.
pub const STEP_MINUTES: u32 = 15;
const DAY: u32 = 24 * 60;
/// A week of points.
pub const MOST_POINTS: usize = 672;

/// What one of the two used: the most of each within the point. What is not counted here is none, and never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// Memory that cannot be taken back, MiB.
    pub memory_mib: u32,
    /// CPU over a minute, millicores.
    pub cpu_m: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u32>,
    /// The kernel's own high-water mark of memory since the cgroups began, page cache and all, MiB.
    pub kernel_peak_mib: Option<u32>,
}

/// A quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "[Option<u32>; 11]", into = "[Option<u32>; 11]")]
pub struct Point {
    /// When it began, minutes since 1970.
    pub minute: u32,
    /// The most pods.
    pub pods: u32,
    /// The most containers, those that only hold a pod together as well.
    pub containers: u32,
    /// kubelet and the container runtime.
    pub kube: Use,
    /// Everything else that is no pod.
    pub system: Use,
}

impl TryFrom<[Option<u32>; 11]> for Point {
    type Error = &'static str;

    fn try_from(
        [minute, pods, containers, km, kc, kt, kp, sm, sc, st, sp]: [Option<u32>; 11],
    ) -> Result<Self, Self::Error> {
        let of = |memory: Option<u32>, cpu_m, tasks, kernel_peak_mib| {
            memory.map(|memory_mib| Use { memory_mib, cpu_m, tasks, kernel_peak_mib })
        };
        match (minute, pods, containers, of(km, kc, kt, kp), of(sm, sc, st, sp)) {
            (Some(minute), Some(pods), Some(containers), Some(kube), Some(system)) => {
                Ok(Self { minute, pods, containers, kube, system })
            }
            _ => Err("a point without its time, containers or memory"),
        }
    }
}

impl From<Point> for [Option<u32>; 11] {
    fn from(point: Point) -> Self {
        let Point { minute, pods, containers, kube, system } = point;
        let of = |one: Use| [Some(one.memory_mib), one.cpu_m, one.tasks, one.kernel_peak_mib];
        let ([km, kc, kt, kp], [sm, sc, st, sp]) = (of(kube), of(system));
        [Some(minute), Some(pods), Some(containers), km, kc, kt, kp, sm, sc, st, sp]
    }
}

impl Use {
    fn most(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib.max(other.memory_mib),
            cpu_m: self.cpu_m.max(other.cpu_m),
            tasks: self.tasks.max(other.tasks),
            kernel_peak_mib: self.kernel_peak_mib.max(other.kernel_peak_mib),
        }
    }
}

/// Points, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<Point>);

impl History {
    /// Takes what was seen just now; true where a new point began with it.
    pub fn take(&mut self, seen: Point) -> bool {
        let minute = seen.minute - seen.minute % STEP_MINUTES;
        self.follow(minute);
        match self.0.last_mut() {
            // A clock that was set back a little adds to the newest point.
            Some(last) if minute <= last.minute => {
                last.pods = last.pods.max(seen.pods);
                last.containers = last.containers.max(seen.containers);
                (last.kube, last.system) = (last.kube.most(seen.kube), last.system.most(seen.system));
                false
            }
            _ => {
                if self.0.len() >= MOST_POINTS {
                    self.0.remove(0);
                }
                self.0.push(Point { minute, ..seen });
                true
            }
        }
    }

    /// A clock that was set back by more than a day was wrong before: all points keep their distances and go back with it. Otherwise there would be no new
    /// one for as long as it was wrong by.
    fn follow(&mut self, minute: u32) {
        let Some(newest) = self.0.last().map(|last| last.minute).filter(|last| last.saturating_sub(minute) > DAY)
        else {
            return;
        };
        let back = newest.saturating_sub(minute).saturating_add(STEP_MINUTES);
        self.0.iter_mut().for_each(|point| point.minute = point.minute.saturating_sub(back));
    }

    /// Puts an older history in front of this one, such as one that was kept over a boot.
    pub fn after(self, older: Self) -> Self {
        let first = self.0.first().map_or(u32::MAX, |point| point.minute);
        let mut all: Vec<Point> = older.0.into_iter().filter(|point| point.minute < first).collect();
        all.sort_by_key(|point| point.minute);
        all.extend(self.0);
        let surplus = all.len().saturating_sub(MOST_POINTS);
        all.drain(..surplus);
        Self(all)
    }

    /// The points, the oldest first.
    pub fn points(&self) -> &[Point] {
        &self.0
    }

    /// How many minutes it covers, gaps not counted.
    pub fn minutes(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX).saturating_mul(STEP_MINUTES)
    }

    /// The same in hours.
    pub fn hours(&self) -> u32 {
        self.minutes() / 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(minute: u32, memory_mib: u32, containers: u32) -> Point {
        Point { minute, containers, kube: Use { memory_mib, ..Use::default() }, ..Point::default() }
    }

    #[test]
    fn a_point_holds_the_most_of_its_quarter_of_an_hour_and_old_ones_go() {
        let mut history = History::default();
        assert!(history.take(point(1000, 5, 3)));
        assert!(!history.take(point(1001, 9, 1)) && !history.take(point(1004, 2, 2)));
        assert!(!history.take(point(900, 1, 9)), "a clock that was set back");
        assert!(history.take(point(1005, 4, 4)));
        let seen: Vec<_> = history.points().iter().map(|p| (p.minute, p.kube.memory_mib, p.containers)).collect();
        assert_eq!(seen, [(990, 9, 9), (1005, 4, 4)]);
        for minute in (2000..).step_by(15).take(MOST_POINTS + 5) {
            history.take(point(minute, 1, 1));
        }
        assert_eq!((history.points().len(), history.hours()), (MOST_POINTS, 168));
        let text = serde_json::to_string(&history).unwrap();
        assert!(text.len() < 60_000, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        assert!(
            serde_json::from_str::<History>("[[15,1,2,null,1,1,1,3,1,1,1]]").is_err(),
            "memory that is not told is not 0"
        );
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_stop_the_history() {
        let mut history = History::default();
        for minute in [50_000, 50_015, 50_030, 20_000, 20_015] {
            assert!(history.take(point(minute, 1, 1)), "{minute}");
        }
        let minutes: Vec<_> = history.points().iter().map(|point| point.minute).collect();
        assert_eq!(minutes, [19_950, 19_965, 19_980, 19_995, 20_010]);
    }

    #[test]
    fn what_was_kept_over_a_boot_goes_before() {
        let of = |minutes: &[u32]| {
            let mut history = History::default();
            minutes.iter().for_each(|minute| assert!(history.take(point(*minute, 1, 1))));
            history
        };
        let both = of(&[300, 315]).after(of(&[0, 15, 300]));
        assert_eq!(both.points().iter().map(|p| p.minute).collect::<Vec<_>>(), [0, 15, 300, 315]);
        assert_eq!(of(&[]).after(of(&[15])).points().len(), 1);
    }
}
