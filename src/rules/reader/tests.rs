//! The reader over made records: what lasts, what ends, what is never believed.

use super::*;
use crate::model::watch::{BlockDevice, Dev, KernelLog, Sampled};
use crate::model::{Reading, problem::Severity};

fn record(seq: u64, at_s: u64, text: &str) -> Record {
    let (subsystem, device) = (String::new(), String::new());
    Record { seq, level: 3, facility: 0, at_us: at_s * 1_000_000, text: text.to_owned(), subsystem, device }
}

fn turn(reader: &mut Reader, at_s: u64, records: Vec<Record>) -> Vec<String> {
    let samples = Samples { kernel_log: KernelLog { records, ..KernelLog::default() }, ..Samples::default() };
    let now = Now { mono: Mono(at_s * 1000), ..Now::default() };
    let (findings, standing) = reader.look(&now, &samples);
    assert_eq!(standing, Standing::Working);
    findings.iter().map(|one| format!("{} {} {}", one.kind, one.subject, one.severity)).collect()
}

const BAD: &str = "I/O error, dev sda, sector 8 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2";

#[test]
fn a_line_lasts_for_the_hold_time_after_the_last_of_its_kind() {
    let mut reader = Reader::default();
    assert_eq!(turn(&mut reader, 1000, vec![record(1, 1000, BAD)]), ["BlockIoError sda warning"]);
    assert_eq!(turn(&mut reader, 1500, vec![record(2, 1500, BAD)]).len(), 1);
    assert_eq!(turn(&mut reader, 2099, vec![]).len(), 1, "ten minutes after the last line, not the first");
    assert_eq!(turn(&mut reader, 2100, vec![]), Vec::<String>::new());
}

#[test]
fn a_record_is_believed_once_and_not_when_it_is_old() {
    let mut reader = Reader::default();
    assert_eq!(turn(&mut reader, 9000, vec![record(5, 100, BAD)]), Vec::<String>::new(), "hours old at the first look");
    let mut reader = Reader::default();
    turn(&mut reader, 1000, vec![record(5, 1000, BAD)]);
    // A restart reads the whole buffer again.
    let mut again = Reader::default();
    again.load(reader.save());
    assert_eq!(turn(&mut again, 1599, vec![record(5, 1000, BAD)]).len(), 1);
    assert_eq!(
        turn(&mut again, 1600, vec![record(5, 1000, BAD)]),
        Vec::<String>::new(),
        "seen again, but not logged again"
    );
}

#[test]
fn drift_of_the_logs_clock_does_not_hide_a_line() {
    // 100 days up: 100 ppm are 864 s.
    let mut reader = Reader::default();
    let now = 8_640_000;
    assert_eq!(turn(&mut reader, now, vec![record(1, now - 800, BAD)]).len(), 1);
    assert_eq!(turn(&mut reader, now, vec![record(2, now + 500, BAD.replace("sda", "sdb").as_str())]).len(), 2);
    assert_eq!(turn(&mut reader, now + 600, vec![]), Vec::<String>::new());
}

#[test]
fn programs_cannot_forge_a_problem() {
    let mut reader = Reader::default();
    let forged = Record { facility: 1, ..record(1, 1000, BAD) };
    assert_eq!(turn(&mut reader, 1000, vec![forged]), Vec::<String>::new());
}

#[test]
fn the_worst_stands_and_partitions_are_told_as_their_disk() {
    let mut reader = Reader::default();
    let abort = record(1, 1000, "Aborting journal on device sda1-8.");
    let error = record(
        2,
        1001,
        "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
    );
    assert_eq!(turn(&mut reader, 1001, vec![abort, error]), ["Ext4Error sda1 critical"]);
    let device = |name: &str, minor, layer| BlockDevice {
        name: name.into(),
        dev: Dev { major: 8, minor },
        layer,
        disks: vec!["sda".into()],
        bytes: 1 << 30,
        model: String::new(),
        io_timeout_ms: None,
        rotational: false,
        read_only: false,
    };
    let devices = vec![device("sda", 0, Layer::Disk), device("sda1", 1, Layer::Partition)];
    let line = record(3, 1002, "Buffer I/O error on dev sda1, logical block 5, lost async page write");
    let samples = Samples {
        devices: Sampled::at(Mono(1), Reading::fresh(devices, "x")),
        kernel_log: KernelLog { records: vec![line], ..KernelLog::default() },
        ..Samples::default()
    };
    let now = Now { mono: Mono(1_002_000), ..Now::default() };
    let (findings, _) = reader.look(&now, &samples);
    assert_eq!(findings[1].subject, "sda");
    assert_eq!(findings[1].summary, "sda1: I/O error at block 5: lost async page write");
}

#[test]
fn a_log_that_cannot_be_read_is_unknown() {
    let log = KernelLog { unreadable: Some("no right".into()), ..KernelLog::default() };
    let samples = Samples { kernel_log: log, ..Samples::default() };
    let (_, standing) = Reader::default().look(&Now::default(), &samples);
    assert_eq!(standing, Standing::Unknown { why: "no right".into() });
}

#[test]
fn rules_are_switched_off_by_name_and_wrong_names_are_refused() {
    let mut reader = Reader::default();
    reader.configure(toml::from_str("hold = \"1m\"\noff = [\"BlockIoError\"]").unwrap());
    assert_eq!(turn(&mut reader, 1000, vec![record(1, 1000, BAD)]), Vec::<String>::new());
    let refused = toml::from_str::<Rules>("off = [\"BlockIOError\"]").unwrap_err().to_string();
    assert!(refused.contains("there are BlockIoError, Ext4Error"), "{refused}");
}

#[test]
fn the_number_of_subjects_is_bounded() {
    let mut reader = Reader::default();
    let many = (0..200).map(|at| record(at, 1000, &BAD.replace("sda", &format!("sd{at}")))).collect();
    assert_eq!(turn(&mut reader, 1000, many).len(), MOST_OPEN);
}

#[test]
fn a_container_at_its_limit_is_advice_and_the_node_without_memory_a_warning() {
    let mut reader = Reader::default();
    let uid = "0a1b2c3d_0000_1111_2222_333344445555";
    let group = format!("/kubepods.slice/kubepods-pod{uid}.slice");
    let context = format!(
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg={group},task_memcg={group}/cri-containerd-{}.scope,task=stress, x,pid=91,uid=0",
        "ab".repeat(32)
    );
    let kill = "Memory cgroup out of memory: Killed process 91 (stress, x) total-vm:1kB, anon-rss:204800kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0";
    // The two lines may come in two turns.
    assert_eq!(turn(&mut reader, 1000, vec![record(1, 1000, &context)]), Vec::<String>::new());
    let uid = uid.replace('_', "-");
    assert_eq!(turn(&mut reader, 1001, vec![record(2, 1000, kill)]), [format!("OomKill {uid} advice")]);
    let summary = &reader.save().open[0].1.summary;
    let expected = format!(
        "pod {uid} reached its memory limit: stress, x[91] of pod {uid} container abababababab with 200 MiB was killed"
    );
    assert_eq!(*summary, expected);
    let global = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/x.service,task=java,pid=812,uid=0";
    let kill = "Out of memory: Killed process 812 (java) total-vm:8347760kB, anon-rss:1001000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4000kB oom_score_adj:0";
    let found = turn(&mut reader, 1002, vec![record(3, 1002, global), record(4, 1002, kill)]);
    assert_eq!(found[1], "OomKill node warning");
    assert_eq!(
        reader.save().open[1].1.summary,
        "the node ran out of memory: java[812] of unit x.service with 977 MiB was killed"
    );
    assert_eq!(reader.save().open[1].1.severity, Severity::Warning);
}

#[test]
fn kernels_before_5_tell_a_killing_in_three_lines() {
    let mut reader = Reader::default();
    let lines = [
        "Task in /kubepods/burstable/pod0a1b2c3d-0000-1111-2222-333344445555/x killed as a result of limit of /kubepods/burstable/pod0a1b2c3d-0000-1111-2222-333344445555",
        "Memory cgroup out of memory: Kill process 1012 (heapster) score 1035 or sacrifice child",
        "Killed process 1012 (heapster) total-vm:327128kB, anon-rss:306328kB, file-rss:11132kB, shmem-rss:12345kB",
    ];
    let records = (1..).zip(lines).map(|(seq, line)| record(seq, 1000, line)).collect();
    assert_eq!(turn(&mut reader, 1000, records), ["OomKill 0a1b2c3d-0000-1111-2222-333344445555 advice"]);
}
