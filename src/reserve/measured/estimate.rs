//! From a history to what the node needs: for each resource a base and a slope by running containers, so that the 99th percentile of what was used lies
//! beneath the line. Growth with time that containers do not explain is a leak: one day of it is reserved for, and it is named. Whole numbers only. It
//! refuses to draw a slope from containers that hardly changed: then one is assumed, and said to be.

use crate::model::usage::{History, Point, Use};

/// Slopes and what is left beside them are counted in so many parts of a unit.
const PARTS: i128 = 1024;
/// Containers must differ by so much, from a tenth to nine tenths of the points, and by so many percent.
const LEAST_CONTAINERS: i128 = 5;
const LEAST_PERCENT: i128 = 20;
/// The upper end of the use, percent, by which a slope is drawn, and so what a point above it weighs; and what the line lies above.
const UPPER: usize = 90;
const ABOVE: i128 = 9;
const HIGH: usize = 99;
/// A leak rises through so many parts of the time, and a slope must do without any of them...
const TIMES: usize = 6;
/// ...by at least this part of what there was at the beginning.
const LEAK_PERCENT: i128 = 20;
const DAY_MINUTES: i128 = 1440;

/// One resource of one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Without any container.
    pub base: u32,
    /// For 1,024 containers.
    pub slope: u32,
    /// The slope was not seen but assumed.
    pub assumed: bool,
    /// What grew by itself, a day; 0 where nothing did.
    pub leak_a_day: u32,
    /// What was used: the median...
    pub p50: u32,
    /// ...the 99th percentile...
    pub p99: u32,
    /// ...and the most.
    pub peak: u32,
}

/// Memory in MiB, CPU in millicores, tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// MiB.
    pub memory: Line,
    /// Millicores; none where they are not counted.
    pub cpu: Option<Line>,
    /// Processes and threads; none where they are not counted.
    pub tasks: Option<Line>,
    /// The kernel's highest high-water mark of memory, page cache and all, MiB.
    pub kernel_peak_mib: Option<u32>,
}

/// What a history says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// kubelet and the container runtime.
    pub kube: Demand,
    /// Everything else that is no pod.
    pub system: Demand,
    /// Both together, as they were at the same moments.
    pub both: Demand,
    /// Containers of ten pods.
    pub containers_of_ten_pods: u32,
    /// The most containers that were seen.
    pub most_containers: u32,
    /// The hours that it rests on.
    pub hours: u32,
}

/// What is assumed of a container where nothing can be seen: EKS's 11 MiB a pod for the daemons, with two containers of each.
const ASSUMED: [(u32, u32, u32); 2] = [(5632, 1024, 8192), (1024, 256, 1024)];

impl Line {
    /// What so many containers need.
    pub fn at(&self, containers: u32) -> u32 {
        let more = u64::from(self.slope) * u64::from(containers) / 1024;
        self.base.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
    }

    /// Minute, containers and use of each point, in the order of time; whether growth with time can be a leak, and not just more work.
    fn of(points: &[(i128, i128, i128)], assumed: u32, leaks: bool) -> Self {
        let mut used: Vec<i128> = points.iter().map(|point| point.2).collect();
        used.sort_unstable();
        let mut calm = points.to_vec();
        let leak_a_day = if leaks { stop_leak(&mut calm) } else { 0 };
        let seen = slope(&calm);
        let slope = seen.unwrap_or(assumed.into());
        let mut beside: Vec<i128> = calm.iter().map(|(_, x, y)| y * PARTS - slope * x).collect();
        beside.sort_unstable();
        Self {
            base: small((percentile(&beside, HIGH) + leak_a_day).max(0).saturating_add(PARTS - 1) / PARTS),
            slope: small(slope),
            assumed: seen.is_none(),
            leak_a_day: small(leak_a_day / PARTS),
            p50: small(percentile(&used, 50)),
            p99: small(percentile(&used, HIGH)),
            peak: small(used.last().copied().unwrap_or_default()),
        }
    }
}

impl Demand {
    fn of(points: &[Point], of: impl Fn(&Point) -> Use, assumed: (u32, u32, u32)) -> Self {
        let line = |value: &dyn Fn(Use) -> Option<u32>, assumed, leaks| {
            let triple = |point: &Point| {
                value(of(point)).map(|value| (point.minute.into(), point.containers.into(), value.into()))
            };
            let known: Vec<(i128, i128, i128)> = points.iter().filter_map(triple).collect();
            // The daemon's first minute has no CPU time yet; where most have none it is not counted here.
            (known.len() * 2 >= points.len()).then(|| Line::of(&known, assumed, leaks))
        };
        Self {
            memory: line(&|used| Some(used.memory_mib), assumed.0, true).unwrap_or_default(),
            cpu: line(&|used| used.cpu_m, assumed.1, false),
            tasks: line(&|used| used.tasks, assumed.2, true),
            kernel_peak_mib: points.iter().map(|point| of(point).kernel_peak_mib).max().flatten(),
        }
    }
}

impl Estimate {
    /// Of all points.
    pub fn of(history: &History) -> Self {
        let points = history.points();
        let [kube, system] = ASSUMED;
        let sum = |one: Option<u32>, other: Option<u32>| Some(one?.saturating_add(other?));
        let add = |point: &Point| Use {
            memory_mib: point.kube.memory_mib.saturating_add(point.system.memory_mib),
            cpu_m: sum(point.kube.cpu_m, point.system.cpu_m),
            tasks: sum(point.kube.tasks, point.system.tasks),
            // One may lie within the other, and their high-water marks are of different moments.
            kernel_peak_mib: None,
        };
        let mut ratios: Vec<i128> = points
            .iter()
            .filter_map(|point| (u64::from(point.containers) * 10).checked_div(point.pods.into()))
            .map(i128::from)
            .collect();
        ratios.sort_unstable();
        Self {
            kube: Demand::of(points, |point| point.kube, kube),
            system: Demand::of(points, |point| point.system, system),
            both: Demand::of(points, add, (kube.0 + system.0, kube.1 + system.1, kube.2 + system.2)),
            // One that holds the pod together, and one that works.
            containers_of_ten_pods: small(percentile(&ratios, UPPER)).max(20),
            most_containers: points.iter().map(|point| point.containers).max().unwrap_or_default(),
            hours: history.hours(),
        }
    }

    /// Containers on a node that is full.
    pub fn containers(&self, pods: u32) -> u32 {
        let containers = u64::from(pods) * u64::from(self.containers_of_ten_pods) / 10;
        u32::try_from(containers).unwrap_or(u32::MAX).max(self.most_containers)
    }
}

fn small(number: i128) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// Of sorted numbers, the one that so many percent are no larger than.
fn percentile(sorted: &[i128], percent: usize) -> i128 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

fn median(mut numbers: Vec<i128>) -> i128 {
    numbers.sort_unstable();
    percentile(&numbers, 50)
}

/// The slope of the upper end of the use by containers; none where they hardly changed. What is not sure is reckoned upwards, since a full node has more
/// containers than were seen: the steepest of those with a sixth of the time left out.
fn slope(points: &[(i128, i128, i128)]) -> Option<i128> {
    if !changed(points) {
        return None;
    }
    let size = points.len().div_ceil(TIMES).max(1);
    let without = |part: usize| -> Vec<_> {
        let rest = points.iter().enumerate().filter(|(index, _)| index / size != part);
        rest.map(|(_, point)| *point).collect()
    };
    (0..TIMES).map(|part| steepness(&without(part))).chain([steepness(points)]).max()
}

/// Whether containers have changed enough to draw a slope.
fn changed(points: &[(i128, i128, i128)]) -> bool {
    let mut containers: Vec<i128> = points.iter().map(|(_, x, _)| *x).collect();
    containers.sort_unstable();
    let (low, high) = (percentile(&containers, 10), percentile(&containers, 90));
    high - low >= LEAST_CONTAINERS && (high - low) * 100 >= high * LEAST_PERCENT
}

/// Quantile regression: the slope of the line from which all points together are the least away, where being above it weighs nine times as much as being
/// beneath. That distance has one hollow only, so it is found by thirds. More containers do not make the daemons smaller.
fn steepness(points: &[(i128, i128, i128)]) -> i128 {
    let mut beside = Vec::with_capacity(points.len());
    let index = (points.len() * UPPER).div_ceil(100).saturating_sub(1);
    let mut away = |slope: i128| -> i128 {
        beside.clear();
        beside.extend(points.iter().map(|(_, x, y)| y * PARTS - slope * x));
        if beside.is_empty() {
            return 0;
        }
        let line = *beside.select_nth_unstable(index).1;
        beside.iter().map(|one| if *one >= line { (one - line) * ABOVE } else { line - one }).sum()
    };
    let most = points.iter().map(|(_, _, y)| *y).max().unwrap_or_default();
    let (mut low, mut high) = (0, most * PARTS);
    while high - low > 2 {
        let third = (high - low) / 3;
        if away(low + third) <= away(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    (low..=high).min_by_key(|slope| away(*slope)).unwrap_or_default()
}

/// Takes what grows by itself out of the use; how much a day it is, 0 where nothing does.
fn stop_leak(points: &mut [(i128, i128, i128)]) -> i128 {
    let by_containers = match (changed(points), beside_time(points)) {
        (false, _) => 0,
        // Where containers came with the time nobody can tell one from the other: then it is theirs.
        (true, None) => return 0,
        (true, Some(slope)) => slope,
    };
    let mut rest: Vec<(i128, i128)> = points.iter().map(|(at, x, y)| (*at, y * PARTS - by_containers * x)).collect();
    let leak_a_day = clip(&mut rest);
    for ((_, x, y), (_, rest)) in points.iter_mut().zip(rest) {
        *y = (rest + by_containers * *x) / PARTS;
    }
    leak_a_day
}

/// The slope by containers while time has one of its own (least squares of both): a leak is not taken for containers that happen to be more at its end.
fn beside_time(points: &[(i128, i128, i128)]) -> Option<i128> {
    let count = i128::try_from(points.len()).ok()?;
    // No node has more; so squares of sums stay within their numbers.
    let all: Vec<(i128, i128, i128)> =
        (0..).zip(points).map(|(turn, (_, x, y))| (turn, (*x).min(1 << 16), (*y).min(1 << 24))).collect();
    let sum = |of: &dyn Fn(&(i128, i128, i128)) -> i128| all.iter().map(of).sum::<i128>();
    let (t, x, y) = (sum(&|one| one.0), sum(&|one| one.1), sum(&|one| one.2));
    let tt = sum(&|one| one.0 * one.0) * count - t * t;
    let xx = sum(&|one| one.1 * one.1) * count - x * x;
    let tx = sum(&|one| one.0 * one.1) * count - t * x;
    let ty = sum(&|one| one.0 * one.2) * count - t * y;
    let xy = sum(&|one| one.1 * one.2) * count - x * y;
    let apart = tt * xx - tx * tx;
    // Less than a fifth of the containers' changes is their own.
    (apart > 0 && apart * 5 >= tt * xx).then(|| ((xy * tt - ty * tx) / (apart / PARTS).max(1)).max(0))
}

/// Takes growth with time out of what is left beside containers; how much a day it is, 0 where it does not grow all the time.
fn clip(rest: &mut [(i128, i128)]) -> i128 {
    let (Some((first, _)), Some((last, _))) = (rest.first().copied(), rest.last().copied()) else { return 0 };
    let minutes = last - first;
    let size = rest.len().div_ceil(TIMES).max(1);
    let levels: Vec<i128> = rest.chunks(size).map(|part| median(part.iter().map(|(_, y)| *y).collect())).collect();
    let (Some(begin), Some(end)) = (levels.first(), levels.last()) else { return 0 };
    // Between the middles of the first and the last part lie all parts but one.
    let grown = (end - begin) * i128::try_from(levels.len()).unwrap_or(1)
        / i128::try_from(levels.len() - 1).unwrap_or(1).max(1);
    let step = grown / i128::try_from(TIMES * 4).unwrap_or(1);
    let rises = levels.windows(2).all(|pair| matches!(pair, [before, after] if after - before > step));
    let much = grown * 100 >= begin.abs() * LEAK_PERCENT && grown >= 16 * PARTS;
    if levels.len() < TIMES || minutes < DAY_MINUTES / 4 || !rises || !much {
        return 0;
    }
    let a_day = grown * DAY_MINUTES / minutes;
    for (at, y) in rest.iter_mut() {
        *y -= grown * (*at - first) / minutes;
    }
    a_day
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points a quarter of an hour apart, by containers and use of kube's memory.
    fn history(points: impl IntoIterator<Item = (u32, u32)>) -> History {
        let mut history = History::default();
        for (minute, (containers, memory_mib)) in (0u32..).step_by(15).zip(points) {
            let kube = Use { memory_mib, tasks: Some(containers * 3), ..Use::default() };
            history.take(Point { minute, pods: containers / 2, containers, kube, ..Point::default() });
        }
        history
    }

    #[test]
    fn base_and_slope_are_found_beneath_noise() {
        // 100 MiB and 5 MiB a container, and up to 20 MiB that come and go.
        let of = |turn: u32| (20 + turn * 7 % 61, 100 + 5 * (20 + turn * 7 % 61) + turn * 37 % 21);
        let line = Estimate::of(&history((0..300).map(of))).kube.memory;
        assert!(!line.assumed && line.leak_a_day == 0, "{line:?}");
        assert!((4900..5400).contains(&line.slope), "{line:?}");
        for containers in [20, 50, 80, 200] {
            let (least, most) = (100 + 5 * containers, 100 + 5 * containers + 80);
            assert!((least..most).contains(&line.at(containers)), "{containers}: {}", line.at(containers));
        }
        assert_eq!(line.peak, (0..300).map(|turn| of(turn).1).max().unwrap());
    }

    #[test]
    fn containers_that_hardly_change_give_no_slope() {
        let line = Estimate::of(&history((0..100).map(|turn| (40 + turn % 3, 300 + turn % 11)))).kube.memory;
        assert_eq!((line.assumed, line.slope), (true, 5632));
        assert!((308..=317).contains(&line.at(41)), "{line:?} {}", line.at(41));
        assert!(line.at(220) > 1200, "and a full node is still provided for");
    }

    #[test]
    fn a_leak_is_named_and_not_drawn_on_for_ever() {
        // 200 MiB, and 3 MiB an hour more, for four days.
        let leaking = Estimate::of(&history((0..384).map(|turn| (40, 420 + turn * 3 / 4 + turn % 5)))).kube.memory;
        assert!((68..=76).contains(&leaking.leak_a_day), "{leaking:?}");
        assert!(leaking.peak > 700);
        assert!((480..=520).contains(&leaking.at(40)), "its first day, and not the peak: {}", leaking.at(40));
        // One that is ended and begins anew is no leak: its peaks count.
        let teeth = Estimate::of(&history((0..384).map(|turn| (40, 420 + turn % 48 * 6)))).kube.memory;
        assert_eq!(teeth.leak_a_day, 0);
        assert!(teeth.at(40) >= 420 + 46 * 6, "{teeth:?}");
        // Nor is one step up.
        let step = Estimate::of(&history((0..384).map(|turn| (40, if turn < 200 { 300 } else { 600 })))).kube.memory;
        assert_eq!((step.leak_a_day, step.at(40)), (0, 600));
    }

    #[test]
    fn a_leak_is_not_taken_for_containers_nor_these_for_a_leak() {
        // 100 MiB, 1 MiB a container, and 2.4 MiB an hour more; containers wander upwards meanwhile.
        let many = |turn: u32| 20 + turn / 10 + turn * 29 % 17;
        let of = |turn: u32| (many(turn), 100 + many(turn) + turn * 6 / 10 + turn % 4);
        let line = Estimate::of(&history((0..240).map(of))).kube.memory;
        assert!((50..=66).contains(&line.leak_a_day), "{line:?}");
        assert!((900..=1200).contains(&line.slope) && !line.assumed, "{line:?}");
        assert!((160..=180).contains(&line.base), "a day of it is in: {line:?}");
        // The same containers at 4 MiB each, and no leak.
        let line =
            Estimate::of(&history((0..240).map(|turn| (many(turn), 100 + 4 * many(turn) + turn % 4)))).kube.memory;
        assert!(line.leak_a_day == 0 && (3900..4300).contains(&line.slope), "{line:?}");
        // Containers that came with the time alone: theirs.
        let line = Estimate::of(&history((0..240).map(|turn| (20 + turn / 4, 100 + turn)))).kube.memory;
        assert!(line.leak_a_day == 0 && line.at(80) >= 339, "{line:?}");
    }

    #[test]
    fn what_is_not_counted_has_no_line() {
        let mut all = History::default();
        for turn in 0..100 {
            let kube = Use {
                memory_mib: 300,
                cpu_m: (turn > 60).then_some(90),
                tasks: (turn > 0).then_some(turn),
                kernel_peak_mib: (turn > 97).then_some(turn * 10),
            };
            all.take(Point { minute: turn * 15, containers: 20, kube, ..Point::default() });
        }
        let kube = Estimate::of(&all).kube;
        assert_eq!((kube.cpu, kube.kernel_peak_mib), (None, Some(990)), "most of its points have none");
        assert_eq!(kube.tasks.map(|line| line.peak), Some(99), "one point without does no harm");
        assert_eq!(Estimate::of(&all).both.tasks, None, "and half of a sum is none");
    }

    #[test]
    fn nothing_and_extremes_are_no_trouble() {
        assert_eq!(Estimate::of(&History::default()).kube.memory.at(100), 550);
        for (x, y) in [(0, 0), (u32::MAX, u32::MAX), (0, u32::MAX), (u32::MAX, 0)] {
            let mut all = History::default();
            for minute in (0..3000).step_by(15) {
                let used = Use {
                    memory_mib: if minute % 2 == 0 { y } else { 0 },
                    cpu_m: Some(y),
                    tasks: Some(y),
                    kernel_peak_mib: Some(y),
                };
                let containers = if minute % 30 == 0 { x } else { 5 };
                all.take(Point { minute, pods: 1, containers, kube: used, system: used });
            }
            let estimate = Estimate::of(&all);
            let _ = estimate.both.memory.at(estimate.containers(u32::MAX));
        }
    }
}
