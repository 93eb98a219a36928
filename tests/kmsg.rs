//! The live kernel log through the one door. `tests/e2e/kmsg/run.sh` prepares the machine for these and restores it; alone they are ignored.
//! They refuse to pass where nothing was written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::disallowed_types)] // Writes to the machine's own log.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use node_steward::host::{Host, Kmsg};

/// Low severity, a program's facility.
fn write(log: &mut std::fs::File, text: &str) {
    // Without the line end it would wait for the next record.
    log.write_all(format!("<15>{text}\n").as_bytes()).unwrap();
}

fn open() -> (std::fs::File, Kmsg) {
    let log = std::fs::OpenOptions::new().write(true).open("/dev/kmsg").unwrap();
    let mut kmsg = Kmsg::open(&Host::new(Path::new("/")).unwrap()).unwrap();
    // What was there before is not this test's: the first read begins at the oldest record.
    while !kmsg.drain().records.is_empty() {}
    (log, kmsg)
}

#[test]
#[ignore = "writes to the machine's kernel log; run by tests/e2e/kmsg/run.sh"]
fn a_written_record_is_read() {
    let (mut log, mut kmsg) = open();
    let words = format!("node-steward test \u{e9}\\ {}", std::process::id());
    write(&mut log, &words);
    let deadline = Instant::now() + Duration::from_secs(2);
    let record = loop {
        assert!(Instant::now() < deadline, "the record did not come back within 2 s");
        if let Some(record) = kmsg.drain().records.into_iter().find(|record| record.text == words) {
            break record;
        }
    };
    assert_eq!((record.level, record.facility), (7, 1));
}

#[test]
#[ignore = "floods the machine's kernel log; run by tests/e2e/kmsg/run.sh"]
fn a_flood_is_read_or_counted_as_lost() {
    let count: u64 = std::env::var("KMSG_RECORDS").unwrap().parse().unwrap();
    let (mut log, mut kmsg) = open();
    let mark = format!("node-steward flood {}", std::process::id());
    write(&mut log, &format!("{mark} start"));
    let first = kmsg.drain().records.iter().find(|record| record.text.starts_with(&mark)).unwrap().seq;
    let began = Instant::now();
    let writer = std::thread::spawn(move || {
        for at in 0..count {
            write(&mut log, &format!("flood {at} {}", "x".repeat(100)));
        }
        write(&mut log, &format!("{mark} end"));
        (mark, began.elapsed())
    });
    let (mut seen, mut lost, mut drains, mut last) = (1, 0, 0, None);
    let deadline = Instant::now() + Duration::from_secs(300);
    while last.is_none() {
        assert!(Instant::now() < deadline, "the last record was not read within 300 s");
        // Slower than the writer on purpose, as a turn is: the buffer runs over.
        std::thread::sleep(Duration::from_millis(20));
        loop {
            let drained = kmsg.drain();
            assert_eq!(drained.unreadable, None);
            drains += 1;
            seen += u64::try_from(drained.records.len()).unwrap();
            lost += drained.lost;
            let end = drained
                .records
                .iter()
                .find(|record| record.text.starts_with("node-steward flood") && record.text.ends_with("end"));
            last = last.or(end.map(|record| record.seq));
            if drained.records.is_empty() {
                break;
            }
            if let Some(last) = last {
                // Records of others after the end are not part of the sum.
                seen -= drained.records.iter().filter(|record| record.seq > last).count() as u64;
                break;
            }
        }
    }
    let (_, took) = writer.join().unwrap();
    let written = last.unwrap() - first + 1;
    println!(
        "flood: {written} sequence numbers ({} of ours, the rest by others), {seen} read, {lost} counted as lost, {drains} drains; written at {:.0} records/s",
        count + 2,
        count as f64 / took.as_secs_f64()
    );
    assert_eq!(written, seen + lost);
    assert!(written >= count + 2, "the kernel did not take every record: is kernel.printk_devkmsg on?");
    assert!(lost > 0, "nothing was lost: this flood was too small to show that losses are counted");
}
