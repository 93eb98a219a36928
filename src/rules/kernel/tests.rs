//! Every format string that the rules cite, filled with random values and with the dictionary that dev_printk adds: each record matches its rule
//! and no other. Format strings that only look alike match none.

use proptest::prelude::*;

use super::super::matcher::{all_matches, find};
use super::super::{Notes, lines};
use super::formats::Arg::{self, Device, Hex, Number, Of, Path, Task, Text, Word};
use super::formats::FORMATS;
use crate::model::time::Mono;
use crate::model::watch::Record;

/// A small generator, so that one number fills a whole line.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // Knuth's MMIX constants.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one(&mut self, of: &[&str]) -> String {
        let count = u64::try_from(of.len()).unwrap();
        of[usize::try_from(self.below(count)).unwrap()].to_owned()
    }

    fn arg(&mut self, arg: Arg) -> String {
        let number = self.below(1 << 30);
        match arg {
            Device => {
                let name = [
                    "sda",
                    "sdb1",
                    "nvme0n1",
                    "nvme12n1p3",
                    "dm-0",
                    "dm-17",
                    "loop4",
                    "md127",
                    "vdb",
                    "xvdf",
                    "cciss!c0d0p1",
                ];
                self.one(&name)
            }
            Number => (number >> self.below(30)).to_string(),
            Hex => format!("{number:x}"),
            Word => self.one(&["ext4_find_entry", "xfs_trans_cancel+0x10c/0x130", "cri-containerd-abc.scope", "x"]),
            Text => self.one(&[
                "reading directory lblock 0",
                "bad header/extent: invalid magic - magic 0, entries 0",
                "I/O error",
                ": x %s (y): z",
                "",
            ]),
            Task => self.one(&[
                "java",
                "kworker/u8:2",
                "jbd2/sda1-8",
                "my prog (x)",
                "a:b, c",
                "Killed process",
                "task x:1 blocked",
            ]),
            Path => self.one(&["/kubepods/burstable/pod1", "/", "/system.slice/x.service", "fs/xfs/xfs_trans.c"]),
            Of(list) => self.one(list),
        }
    }

    /// The format with each `%...` replaced by an argument.
    fn fill(&mut self, format: &str, args: &[Arg]) -> String {
        let mut args = args.iter();
        let mut parts = format.split('%');
        let mut line = parts.next().unwrap().to_owned();
        for part in parts {
            let conversion = ["pV", "pS", "pg", "llu", "lld", "llx", "lu", "ld", "hd", "s", "d", "u", "x"];
            let rest = conversion.iter().find_map(|letters| part.strip_prefix(letters)).unwrap();
            line.push_str(&self.arg(*args.next().unwrap_or_else(|| panic!("too few arguments: {format}"))));
            line.push_str(rest);
        }
        assert!(args.next().is_none(), "too many arguments: {format}");
        line
    }

    /// A raw record, as dev_printk and printk leave it.
    fn raw(&mut self, text: &str) -> Vec<u8> {
        let mut raw = format!("{},{},{},-;", self.below(8), self.below(1 << 20), self.below(1 << 40)).into_bytes();
        for byte in text.bytes() {
            match byte {
                b'\\' | 0..=31 | 127.. => raw.extend(format!("\\x{byte:02x}").bytes()),
                _ => raw.push(byte),
            }
        }
        let tails = [
            "",
            "\n",
            "\n SUBSYSTEM=scsi\n DEVICE=+scsi:0:0:0:0\n",
            "\n SUBSYSTEM=block\n DEVICE=b259:0\n",
            "\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:04.0",
        ];
        raw.extend(self.one(&tails).bytes());
        raw
    }
}

fn found(record: &Record) -> Option<String> {
    let found = find(record, Mono(0), &[], &mut Notes::default()).unwrap();
    found.map(|found| found.rule.entry.kind.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_cited_format_is_found_by_its_rule_alone(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        for (kind, format, args) in FORMATS {
            let text = dice.fill(format, args);
            let record = Record::parse(&dice.raw(&text)).unwrap();
            prop_assert_eq!(&record.text, &text);
            prop_assert_eq!(found(&record), kind.map(str::to_owned), "{}", text);
            let all = all_matches(&text);
            prop_assert!(all.len() <= 1, "{}: {:?}", text, all);
        }
    }
}

#[test]
fn every_pattern_is_reached_by_some_format() {
    let mut reached = std::collections::BTreeMap::new();
    for seed in 0..200 {
        let mut dice = Dice(seed);
        for (_, format, args) in FORMATS {
            for kind in all_matches(&dice.fill(format, args)) {
                *reached.entry(kind).or_insert(0) += 1;
            }
        }
    }
    let rules: Vec<String> = super::super::ALL.iter().map(|rule| rule.entry.kind.to_string()).collect();
    assert!(rules.iter().all(|rule| reached.contains_key(rule)), "{reached:?}");
}

/// A log, and the kinds found in it by line.
fn kinds(text: &str) -> Vec<(u64, String)> {
    lines(text.as_bytes()).filter_map(|line| Some((line.number, found(&line.record)?))).collect()
}

#[test]
fn lines_captured_from_real_kernels() {
    let captured = include_str!("../../../tests/data/kernel/captured-6.18.txt");
    let expected = |number, kind: &str| (number, kind.to_owned());
    assert_eq!(
        kinds(captured),
        [
            expected(1, "BlockIoError"),
            expected(2, "BlockIoError"),
            expected(3, "Ext4Error"),
            expected(4, "Ext4Error"),
            expected(5, "Ext4Error"),
            expected(6, "Ext4Error"),
            expected(7, "XfsShutdown"),
            expected(8, "XfsShutdown"),
            expected(9, "BlockIoError"),
            expected(10, "KernelHungTask"),
        ]
    );
    // The same as `dmesg` prints it, and as raw records.
    let dmesg: String = captured.lines().map(|line| format!("[ 1234.567890] {line}\n")).collect();
    assert_eq!(kinds(&dmesg), kinds(captured));
    let raw: String =
        (1..).zip(captured.lines()).map(|(seq, line)| format!("3,{seq},99,-;{line}\n SUBSYSTEM=block\n")).collect();
    let of_raw: Vec<_> = kinds(&raw).into_iter().map(|(number, kind)| (number.div_ceil(2), kind)).collect();
    assert_eq!(of_raw, kinds(captured));
}

#[test]
fn a_real_medium_error_is_found_in_raw_records_and_in_dmesg() {
    let raw = include_str!("../../../tests/data/kernel/medium-error-6.1.kmsg");
    let found = kinds(raw);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|(_, kind)| kind == "BlockIoError"));
    let dmesg: String = lines(raw.as_bytes()).map(|line| format!("[  166.455642] {}\n", line.record.text)).collect();
    assert_eq!(kinds(&dmesg).len(), 4);
}

#[test]
fn lines_of_many_problems_are_found_by_the_right_rules_or_not_yet() {
    let known = kinds(include_str!("../../../tests/data/kernel/problem-lines.txt"));
    let expected = [
        (5, "KernelHungTask"),
        (6, "KernelHungTask"),
        (7, "OomKill"),
        (8, "BlockIoError"),
        (9, "BlockIoError"),
        (10, "Ext4Error"),
        (11, "Ext4Error"),
        (12, "XfsShutdown"),
        (13, "XfsShutdown"),
    ];
    assert_eq!(known, expected.map(|(number, kind)| (number, kind.to_owned())));
}
