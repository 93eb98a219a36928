//! Many nodes' worth of the system's use, made by real units of a real systemd, read as the daemon reads it: thirty hours become a history, then what leaks
//! is started anew as by a reboot, and the twelve hours after it, on a node that fills up, are held against the recommendation. An hour passes in seconds;
//! all else is real. It refuses to judge by the points that the recommendation was made of, and to count a run as covered that the floor alone covers.
//!
//!   recommend-lab DIR RUNS    for each run N the cgroups of a slice stand at DIR/N/root/sys/fs/cgroup; its load follows the number in DIR/N/containers and
//!                             begins anew when DIR/N/boot changes; the load of every fourth leaks without an end
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // Plays the operator, in a guest of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use node_steward::agent::turn::State;
use node_steward::host::Host;
use node_steward::model::time::{Mono, Now, Wall};
use node_steward::model::watch::Wants;
use node_steward::model::{Bytes, Resource};
use node_steward::policy;
use node_steward::reserve::measured::{Estimate, reserved};
use node_steward::reserve::{self, Input, Rules};
use node_steward::sample::{Guarded, Watcher};

/// A reading stands for a quarter of an hour, of which the daemon would see fifteen.
const MINUTES: u64 = 15;
const PACE: Duration = Duration::from_millis(800);
const HISTORY: u64 = 30 * 60 / MINUTES;
const AFTER: u64 = 12 * 60 / MINUTES;
/// Threads that share the runs: a guest has two processors.
const HANDS: u64 = 2;
/// A full node.
const MAX_PODS: u32 = 40;

struct Run {
    dir: PathBuf,
    host: Host,
    watcher: Watcher,
    state: State,
    containers: u64,
    dice: u64,
    peak_mib: u64,
    recommended_mib: u64,
    floor_mib: u64,
    leak_a_day: u32,
    said: String,
}

impl Run {
    fn new(dir: PathBuf, seed: u64) -> Self {
        let host = Host::new(&dir.join("root")).unwrap();
        Self {
            host,
            watcher: Watcher::new(),
            state: State::new(),
            containers: 16,
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            peak_mib: 0,
            recommended_mib: 0,
            floor_mib: 0,
            leak_a_day: 0,
            said: String::new(),
            dir,
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn cgroup(&self, number: u64) -> PathBuf {
        let pods = self.dir.join("root/sys/fs/cgroup/kubepods.slice");
        let pod = pods.join(format!("kubepods-pod0a1b2c3d_0000_4000_8000_{:012x}.slice", number / 2));
        pod.join(format!("cri-containerd-{number:064x}.scope"))
    }

    /// Some come and go; in the end the node fills up.
    fn change(&mut self, reading: u64) {
        let full = u64::from(MAX_PODS) * 2;
        let wanted = match reading {
            0..HISTORY => (self.containers + self.roll(9)).saturating_sub(4).clamp(8, full / 2),
            _ => (self.containers + self.roll(6)).min(full),
        };
        for number in self.containers.min(wanted)..wanted.max(self.containers) {
            let path = self.cgroup(number);
            if wanted > self.containers {
                std::fs::create_dir_all(&path).unwrap();
            } else {
                std::fs::remove_dir(&path).unwrap();
                let _ = std::fs::remove_dir(path.parent().unwrap());
            }
        }
        self.containers = wanted;
        std::fs::write(self.dir.join("containers"), wanted.to_string()).unwrap();
    }

    fn look(&mut self, reading: u64) {
        let mono = Mono((reading + 1) * MINUTES * 60_000);
        let samples = self.watcher.look(&self.host, mono, Wants::default(), Guarded::default()).clone();
        let seen = samples.outside_pods.value().unwrap_or_else(|| panic!("{}", samples.outside_pods.reading.origin()));
        assert_eq!(u64::from(seen.containers), self.containers, "containers are counted");
        let wall = Wall(1_790_000_000_000 + i64::try_from(mono.0).unwrap());
        let now = Now { mono, wall, boot_id: "lab".to_owned() };
        let ground = policy::Ground::default();
        if reading < HISTORY {
            self.state.turn(&policy::Rules::default(), &ground, &now, &samples);
        } else {
            self.peak_mib = self.peak_mib.max(Bytes(seen.system.held_bytes).mib());
        }
    }

    fn recommend(&mut self) {
        let history = self.state.history();
        assert!(history.hours() >= 29, "{} h", history.hours());
        let estimate = Estimate::of(history);
        let input = Input {
            cores: 8,
            memory: Bytes::from_mib(32_000),
            installed_memory: None,
            max_pods: MAX_PODS,
            node_filesystem: None,
            measured: Some(estimate),
        };
        let rules = Rules::default();
        let as_eks = reserve::profile("eks").unwrap().reserve(&input, &rules).unwrap();
        let (_, system) = reserved(&estimate, &input, &rules.measured, &as_eks);
        self.recommended_mib = Bytes(system.get(Resource::Memory).to_u64()).mib();
        let line = estimate.system.memory;
        self.leak_a_day = line.leak_a_day;
        let none = Estimate { containers_of_ten_pods: 20, ..Estimate::default() };
        self.floor_mib =
            Bytes(reserved(&none, &input, &rules.measured, &as_eks).1.get(Resource::Memory).to_u64()).mib();
        self.said = format!(
            "{:>4}  {:>4}  {:>4}  {:>5}  {:>10.2}{}  {:>10}",
            line.p50,
            line.p99,
            line.peak,
            line.base,
            f64::from(line.slope) / 1024.0,
            if line.assumed { "?" } else { " " },
            line.leak_a_day
        );
    }
}

/// What came of a run.
struct Outcome {
    number: u64,
    said: String,
    recommended_mib: u64,
    floor_mib: u64,
    peak_mib: u64,
    leak_a_day: u32,
}

/// Some of the runs, reading by reading; and how many readings were late.
fn play(dir: &str, numbers: impl Iterator<Item = u64>) -> (Vec<Outcome>, u64) {
    let mut all: Vec<(u64, Run)> =
        numbers.map(|number| (number, Run::new(Path::new(dir).join(number.to_string()), number))).collect();
    for (_, run) in &mut all {
        (0..run.containers).for_each(|number| std::fs::create_dir_all(run.cgroup(number)).unwrap());
    }
    let (mut next, mut late) = (Instant::now(), 0);
    for reading in 0..HISTORY + AFTER {
        for (_, run) in &mut all {
            if reading == HISTORY {
                run.recommend();
                std::fs::write(run.dir.join("boot"), "2").unwrap();
            }
            // What was asked for in the reading before has had time to happen.
            run.look(reading);
            run.change(reading);
        }
        next += PACE;
        match next.checked_duration_since(Instant::now()) {
            Some(rest) => std::thread::sleep(rest),
            None => (next, late) = (Instant::now(), late + 1),
        }
    }
    let outcome = |(number, run): (u64, Run)| Outcome {
        number,
        said: run.said,
        recommended_mib: run.recommended_mib,
        floor_mib: run.floor_mib,
        peak_mib: run.peak_mib,
        leak_a_day: run.leak_a_day,
    };
    (all.into_iter().map(outcome).collect(), late)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, dir, runs] = &arguments[..] else { panic!("recommend-lab DIR RUNS") };
    assert!(reserve::profile("measured").is_ok());
    let runs: u64 = runs.parse().unwrap();
    let began = Instant::now();
    let (mut all, mut late) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let begin = |hand| scope.spawn(move || play(dir, (1..=runs).filter(move |number| number % HANDS == hand)));
        let hands: Vec<_> = (0..HANDS).map(begin).collect();
        for hand in hands {
            let (outcomes, those) = hand.join().unwrap();
            all.extend(outcomes);
            late += those;
        }
    });
    all.sort_by_key(|one| one.number);
    println!(
        "{} readings of {runs} slices in {} s, by {HANDS} hands; {late} of theirs later than every {} ms",
        HISTORY + AFTER,
        began.elapsed().as_secs(),
        PACE.as_millis()
    );
    println!(" run   p50   p99  peak   base  a container  leak a day  recommended  most afterwards  margin   (MiB)");
    let mut covered = 0;
    for one in &all {
        let by_floor = one.recommended_mib <= one.floor_mib;
        let good = one.recommended_mib >= one.peak_mib && !by_floor;
        covered += u64::from(good);
        let margin = i64::try_from(one.recommended_mib).unwrap() - i64::try_from(one.peak_mib).unwrap();
        println!(
            "{:>4}  {}  {:>11}  {:>15}  {margin:>+6} ({:+.0} %){}",
            one.number,
            one.said,
            one.recommended_mib,
            one.peak_mib,
            100.0 * (one.recommended_mib as f64 / one.peak_mib.max(1) as f64 - 1.0),
            if good {
                ""
            } else if by_floor {
                "  NOT JUDGED: the floor hides what the history says"
            } else {
                "  NOT COVERED"
            }
        );
    }
    let (leaking, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.number % 4 == 0);
    let named = |those: &[&Outcome]| those.iter().filter(|one| one.leak_a_day > 0).count();
    let (found, blamed) = (named(&leaking), named(&others));
    println!(
        "{found} of {} leaks without an end were named, and {blamed} of the {} others",
        leaking.len(),
        others.len()
    );
    println!("{covered} of {runs} covered");
    assert!(covered * 20 >= runs * 19, "fewer than 19 of 20");
    assert!(found * 5 >= leaking.len() * 4, "leaks were not seen");
    assert!(blamed * 5 <= others.len(), "leaks were seen where there are none");
}
