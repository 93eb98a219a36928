//! A drill of the alarm path before the program's pages are locked: made-up samples of a very sick node go through all detectors and rules, and what
//! comes out through log, metrics and state. It refuses to leave a trace: the turns, the log and the socket are its own.

use super::ask::Ask;
use super::daemon::delayed;
use super::desk::Desk;
use super::engine::Engine;
use super::envoy::Envoy;
use super::lines;
use super::saved::{Past, Saved};
use crate::agent::Settings;
use crate::cluster::{Errand, Fetched, Look};
use crate::host::Log;
use crate::metrics;
use crate::model::Reading;
use crate::model::status::{Part, Standing, Status};
use crate::model::time::{Mono, Now, Wall};
use crate::model::watch::{
    Allowances, Answer, BlockDevice, BlockedTask, Conntrack, CpuTimes, Daemon, Dev, DiskCounters, EbsPage, ExtErrors,
    FileTable, GroupIo, GroupUse, Image, IoCounters, Journal, JournalFile, JournalNotices, JournalSetup, KernelLog,
    Layer, LogFile, LogWriter, Logging, Memory, Mount, NodePressure, NvmeController, NvmeModel, Offer, OutsidePods,
    Place, Pressure, Record, Reserved, Sampled, Samples, Smart, Space, Stall, SyslogDaemon, Tasks, Thresholds,
    UnitState,
};
use crate::sample::guarded::{Pending, Request};

/// Quiet turns that teach a baseline, then sick ones, then well ones again.
const QUIET: u64 = 36;
const SICK: u64 = 8;
const WELL: u64 = 4;
const TURN_MS: u64 = 10_000;

/// Plays it; the kinds of problems that came up, for whoever wants to know what was drilled. The settings are nobody's: reading those is no alarm.
pub fn play() -> Vec<String> {
    let mut engine = Engine::default();
    let log = Log::nowhere();
    let mut kinds = Vec::new();
    for turn in 1..=QUIET + SICK + WELL {
        let now = Now { mono: Mono(turn * TURN_MS), wall: Wall(1_700_000_000_000), boot_id: "drill".to_owned() };
        let sources =
            vec![Part { name: "drill".to_owned(), standing: Standing::Unknown { why: "a drill".to_owned() } }];
        let outcome = engine.turn(&now, &samples(turn), sources, None);
        lines::write(&log, now.mono, &outcome.turn.changes);
        kinds.extend(outcome.turn.changes.began.iter().map(|problem| problem.finding.kind.to_string()));
        if turn == QUIET + SICK {
            let status = engine.status().clone();
            let catalogue = engine.catalogue();
            std::hint::black_box(metrics::text(&status, &catalogue, metrics::Format::Prometheus));
            let _ = std::hint::black_box(serde_json::to_string(&outcome.turn));
            std::hint::black_box(
                Saved::new("drill", engine.store("drill"), status, engine.wants(), Past::default()).bytes(),
            );
        }
    }
    stuck();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// A probe that does not answer, one that waits behind it, and the news of both to the samples.
fn stuck() {
    let mut desk = Desk::new();
    let mut pending = Pending::new("/var/lib/kubelet");
    for path in ["/hung", "/hung/behind", "/hung/last"] {
        let request = Request::Look { path: path.to_owned(), role: "mount".to_owned() };
        desk.put("/hung", Ask::Guarded { requests: vec![request] });
    }
    desk.send(Mono(0));
    for (question, delay) in desk.delayed(Mono(TURN_MS), 1).0 {
        delayed(&mut pending, &question, &delay);
    }
    desk.answered(1);
    desk.forget();
    std::hint::black_box(pending.take(KernelLog::default()));
}

/// What a node without an API server finds out once a minute, also while its disk hangs: that there is still none.
pub(super) fn alone(settings: &Settings) {
    let word = || "drill".to_owned();
    let mut envoy = Envoy::named(word(), word(), settings, None, Past::default());
    let errand = Errand::Look { asked: None };
    for _ in 0..2 {
        let none = Fetched::Look(Look::None(word()));
        envoy.learned(&errand, serde_json::to_value(none).unwrap_or_default());
        envoy.show(&mut Status::default(), &Log::nowhere());
    }
}

/// How sick the node is in a turn: quiet at first, then everything at once, then well.
fn samples(turn: u64) -> Samples {
    let sick = (QUIET + 1..=QUIET + SICK).contains(&turn);
    let at = Mono(turn * TURN_MS);
    let bad = turn.saturating_sub(QUIET).min(SICK);
    let loaded = counters("drill0", turn * 100 + bad * 30_000, turn * 50 + bad * 180_000, if sick { 30 } else { 0 });
    let stalled = counters("drill1", turn.min(QUIET) * 100, turn.min(QUIET) * 50, if sick { 4 } else { 0 });
    let stall = Stall { some_us: bad * 9_000_000, full_us: bad * 6_000_000 };
    let pressure = Pressure { io: Some(stall), memory: Some(stall), cpu: None };
    let text = if sick { "rw,relatime,emergency_ro" } else { "rw,relatime" };
    Samples {
        counters: fresh(at, vec![loaded, stalled]),
        devices: fresh(at, vec![device("drill0", 0), device("drill1", 16)]),
        pressure: fresh(at, NodePressure { node: pressure, groups: vec![("/kubepods".to_owned(), pressure)] }),
        cpu: fresh(at, CpuTimes { total: turn * 2000, idle: turn * 900, iowait: turn * 900, steal: 0, cpus: 2 }),
        mounts: fresh(at, vec![mount(1, "/", 0, text, sick), mount(2, "/data", 16, text, sick)]),
        ext: fresh(at, vec![errors(bad)]),
        places: fresh(at, places(sick, turn)),
        thresholds: fresh(at, thresholds()),
        offer: fresh(at, offer(sick)),
        outside_pods: fresh(at, outside(bad)),
        allowances: fresh(at, allowances(bad)),
        units: fresh(at, vec![unit(bad)]),
        nvme: fresh(at, vec![controller("drill0", at, bad)]),
        groups: fresh(
            at,
            vec![group("/kubepods/pod0", turn + bad * 3000), group("/system.slice/a.service", turn + bad * 900)],
        ),
        conntrack: fresh(at, Conntrack { count: bad, max: SICK, dropped: Some(bad) }),
        task_room: fresh(at, Tasks { tasks: bad, pid_max: SICK, threads_max: SICK, groups: Vec::new() }),
        files: fresh(at, FileTable { open: bad, max: SICK }),
        daemons: fresh(at, vec![daemon(bad)]),
        image: fresh(at, image(sick)),
        logging: fresh(at, logging(sick)),
        journal: fresh(at, journal(turn, bad)),
        log_writers: fresh(at, vec![writer(turn)]),
        memory: fresh(at, Memory { total_bytes: 1 << 33, available_bytes: 1 << 26 }),
        tasks: fresh(at, if sick { vec![task()] } else { Vec::new() }),
        kernel_log: KernelLog { records: if sick { records(turn) } else { Vec::new() }, ..KernelLog::default() },
        ..Samples::default()
    }
}

fn fresh<T>(at: Mono, value: T) -> Sampled<T> {
    Sampled::at(at, Reading::fresh(value, "drill"))
}

fn dev(minor: u32) -> Dev {
    Dev { major: 8, minor }
}

fn device(name: &str, minor: u32) -> BlockDevice {
    BlockDevice {
        name: name.to_owned(),
        dev: dev(minor),
        layer: Layer::Disk,
        disks: vec![name.to_owned()],
        bytes: 1 << 36,
        model: "Amazon Elastic Block Store".to_owned(),
        io_timeout_ms: Some(30_000),
        rotational: false,
        read_only: false,
    }
}

fn counters(name: &str, operations: u64, time_ms: u64, in_flight: u64) -> DiskCounters {
    let ms = u32::try_from(time_ms).unwrap_or(u32::MAX);
    DiskCounters {
        name: name.to_owned(),
        reads: operations,
        sectors_read: operations * 8,
        read_ms: ms,
        writes: operations,
        sectors_written: operations * 8,
        write_ms: ms,
        in_flight,
        busy_ms: ms,
        ..DiskCounters::default()
    }
}

fn mount(id: u32, point: &str, minor: u32, options: &str, sick: bool) -> Mount {
    Mount {
        id,
        dev: dev(minor),
        root: "/".to_owned(),
        point: point.to_owned(),
        options: if sick && id == 2 { options.replace("rw", "ro") } else { options.to_owned() },
        kind: "ext4".to_owned(),
        source: "/dev/drill".to_owned(),
        super_options: options.to_owned(),
    }
}

fn errors(errors: u64) -> ExtErrors {
    ExtErrors {
        device: "drill0".to_owned(),
        errors,
        warnings: errors,
        last_error_time: if errors > 0 { 1_700_000_000 } else { 0 },
        last_error_func: "ext4_find_entry".to_owned(),
        last_error_code: 5,
    }
}

fn places(sick: bool, turn: u64) -> Vec<Place> {
    let left = if sick { (QUIET + SICK + 1).saturating_sub(turn) } else { 1 << 14 };
    let space = Space {
        total_bytes: 1 << 36,
        available_bytes: left << 20,
        inodes: 1 << 20,
        inodes_free: left,
        read_only: false,
    };
    let place = |path: &str, role: &str, answer| Place { path: path.to_owned(), role: role.to_owned(), answer };
    let other = if sick {
        Answer::Refused { errno: 5, why: "I/O error".to_owned() }
    } else {
        Answer::Looked { dev: dev(16), space }
    };
    let hung = if sick { Answer::Stuck { for_ms: turn * 1000 } } else { Answer::Missing };
    let looked = Answer::Looked { dev: dev(0), space };
    vec![
        place("/", "root", looked.clone()),
        place("/var/lib/kubelet", "kubelet", looked),
        place("/data", "mount", other),
        place("/hung", "mount", hung),
    ]
}

fn thresholds() -> Thresholds {
    let hard = [("nodefs.available", "10%"), ("nodefs.inodesFree", "5%"), ("imagefs.available", "15%")];
    Thresholds {
        hard: hard.iter().map(|(signal, limit)| ((*signal).to_owned(), (*limit).to_owned())).collect(),
        reserved: Reading::fresh(Reserved::default(), "a drill"),
        from: "a drill".to_owned(),
        ..Thresholds::default()
    }
}

fn offer(sick: bool) -> Offer {
    let list = |cpu: &str| [("cpu".to_owned(), cpu.to_owned())].into();
    Offer { capacity: list("4"), allocatable: list(if sick { "3" } else { "4" }) }
}

fn allowances(bad: u64) -> Vec<Allowances> {
    let counters = [("linklocal_allowance_exceeded".to_owned(), bad)].into();
    vec![Allowances { interface: "drill0".to_owned(), counters }]
}

fn unit(bad: u64) -> UnitState {
    let active = if bad > SICK / 2 { "failed" } else { "active" };
    UnitState {
        unit: "drill.service".to_owned(),
        active: active.to_owned(),
        restarts: Some(bad),
        ..UnitState::default()
    }
}

fn outside(bad: u64) -> OutsidePods {
    let group = GroupUse { path: "/system.slice".to_owned(), held_bytes: bad << 20, working_set_bytes: bad << 21 };
    let part = crate::model::watch::Part {
        held_bytes: bad << 20,
        cpu_us: Some(bad * 1000),
        tasks: Some(bad),
        peak_bytes: Some(bad << 21),
    };
    OutsidePods {
        kube: part,
        system: part,
        groups: vec![group.clone()],
        largest: vec![group],
        ..OutsidePods::default()
    }
}

fn controller(disk: &str, at: Mono, bad: u64) -> NvmeController {
    let page = EbsPage {
        reads: at.0 + bad * 1000,
        writes: at.0,
        read_us: at.0 * 500 + bad * 60_000_000,
        volume_iops_exceeded_us: bad * 5_000_000,
        volume_throughput_exceeded_us: bad * 5_000_000,
        instance_iops_exceeded_us: bad * 5_000_000,
        instance_throughput_exceeded_us: bad * 5_000_000,
        ..EbsPage::default()
    };
    let smart = Smart {
        critical_warning: u8::from(bad > 0),
        available_spare_percent: 5,
        spare_threshold_percent: 10,
        percentage_used: 99,
        media_errors: bad,
        ..Smart::default()
    };
    NvmeController {
        name: "nvme0".to_owned(),
        state: if bad > 0 { "resetting" } else { "live" }.to_owned(),
        model_name: "Amazon Elastic Block Store".to_owned(),
        model: NvmeModel::Ebs,
        volume: "vol-0".to_owned(),
        disks: vec![disk.to_owned()],
        pages_taken: at,
        ebs: Reading::fresh(page, "drill"),
        smart: Reading::fresh(smart, "drill"),
    }
}

fn group(path: &str, work: u64) -> GroupIo {
    let io = IoCounters { read_bytes: work * 4096, write_bytes: work * 4096, reads: work, writes: work };
    GroupIo { path: path.to_owned(), by_device: vec![(dev(0), io), (dev(16), io)] }
}

fn image(sick: bool) -> Image {
    let support_end = if sick { "2000-01-01" } else { "9999-01-01" };
    Image { support_end: support_end.to_owned(), reboot_required: sick.then(Vec::new), ..Image::default() }
}

fn daemon(bad: u64) -> Daemon {
    Daemon { unit: "drill.service".to_owned(), pid: 1, files: bad, files_max: SICK, ..Daemon::default() }
}

fn logging(sick: bool) -> Logging {
    let file = LogFile { path: "/var/log/drill".to_owned(), synced: true, from: "drill:1".to_owned() };
    let daemon = SyslogDaemon {
        unit: "drill.service".to_owned(),
        reads_journal: true,
        files: vec![file],
        ..SyslogDaemon::default()
    };
    let journal = JournalSetup { persistent: true, ..JournalSetup::default() };
    Logging { daemons: if sick { vec![daemon] } else { Vec::new() }, journal, readers: Vec::new() }
}

fn journal(turn: u64, bad: u64) -> Journal {
    let count = turn * 10 + bad * 20_000;
    let file = JournalFile {
        path: "drill".to_owned(),
        entries: count,
        priorities: [0, 0, bad * 5000, 0, 0, 0, 0, bad * 5000],
        units: [("drill.service".to_owned(), count)].into(),
        notices: JournalNotices { suppressed: bad, missed_kernel: bad, ..JournalNotices::default() },
        dropped: vec![("drill.service".to_owned(), bad)],
        ..JournalFile::default()
    };
    let set_aside_wall_ms = if bad > 0 { vec![1_700_000_000_000] } else { Vec::new() };
    Journal { files: vec![file], disk_bytes: bad << 30, count: 1, persistent: true, set_aside_wall_ms }
}

fn writer(turn: u64) -> LogWriter {
    LogWriter { unit: "drill.service".to_owned(), write_bytes: turn << 20, writes: turn * 100, ..LogWriter::default() }
}

fn task() -> BlockedTask {
    BlockedTask {
        tid: 2,
        pid: 2,
        start_ticks: 2,
        comm: "drill".to_owned(),
        wchan: "io_schedule".to_owned(),
        cgroup: "/system.slice/a.service".to_owned(),
        switches: Some(1),
    }
}

fn records(turn: u64) -> Vec<Record> {
    let texts = [
        "I/O error, dev drill0, sector 311296 op 0x0:(READ) flags 0x80700 phys_seg 56 prio class 2",
        "EXT4-fs error (device drill0): ext4_find_entry:1463: inode #2: comm drill: reading directory lblock 0",
        "XFS (drill1): Filesystem has been shut down due to log error (0x2).",
        "INFO: task drill:2 blocked for more than 120 seconds.",
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=drill,pid=2,uid=0",
        "Out of memory: Killed process 2 (drill) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
    ];
    let record = |(place, text): (u64, &&str)| Record {
        seq: turn * 10 + place,
        level: 3,
        facility: 0,
        at_us: turn * TURN_MS * 1000,
        text: (*text).to_owned(),
        subsystem: String::new(),
        device: String::new(),
    };
    (0..).zip(&texts).map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drill_goes_through_the_detectors_and_the_rules() {
        let kinds = play();
        for kind in ["DiskStalled", "DiskSaturated", "TaskHung"] {
            assert!(kinds.iter().any(|other| other == kind), "{kind} is not drilled: {kinds:?}");
        }
        let known = Engine::default().catalogue().len();
        assert!(kinds.len() * 3 >= known * 2, "of {known} kinds only {kinds:?} are drilled");
    }
}
