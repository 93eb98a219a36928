//! Dice for who writes logs and for what goes to the journal. They refuse chance as the others do.
#![allow(clippy::unwrap_used)]

use node_steward::model::watch::*;

use super::dice::Dice;

impl Dice {
    pub fn logging(&mut self) -> Logging {
        let file = |dice: &mut Self, _| LogFile { path: dice.word(), synced: dice.roll(2) > 0, from: dice.word() };
        let daemon = |dice: &mut Self, index: u32| SyslogDaemon {
            unit: format!("{index}.service"),
            alias: dice.roll(2) > 0,
            enabled: dice.roll(2) > 0,
            pid: dice.small(),
            start_ticks: dice.number(),
            inputs: dice.many(2, |dice, _| dice.word()),
            reads_socket: dice.roll(2) > 0,
            reads_journal: dice.roll(2) > 0,
            files: dice.many(5, file),
            sends: dice.many(2, |dice, _| dice.word()),
            listens: dice.many(2, |dice, _| dice.word()),
        };
        let daemons = self.many(3, daemon);
        let journal = JournalSetup {
            storage: self.word(),
            persistent: self.roll(3) > 0,
            forward_to_syslog: self.roll(2) > 0,
            forward_from: self.word(),
            ..JournalSetup::default()
        };
        let readers = self.many(2, |dice, _| LogReader { who: dice.word(), path: dice.word(), open: dice.roll(2) > 0 });
        Logging { daemons, journal, readers }
    }

    pub fn journal(&mut self) -> Journal {
        let newest = |dice: &mut Self| Newest {
            of: dice.number(),
            units: dice.many(2, |dice, _| (dice.word(), dice.number())).into_iter().collect(),
            synced: dice.number(),
        };
        let file = |dice: &mut Self, index: u32| JournalFile {
            path: format!("{index}"),
            id: dice.word(),
            entries: dice.number(),
            priorities: std::array::from_fn(|_| dice.number()),
            units: dice.many(3, |dice, _| (dice.word(), dice.number())).into_iter().collect(),
            floor: dice.number(),
            notices: JournalNotices {
                started: dice.number(),
                suppressed: dice.number(),
                missed_kernel: dice.number(),
                missed_forward: dice.number(),
                failed: dice.number(),
            },
            debug: newest(dice),
            critical: newest(dice),
            dropped: dice.many(2, |dice, _| (dice.word(), dice.number())),
            failed: dice
                .many(2, |dice, _| (if dice.roll(2) > 0 { JOURNALD.to_owned() } else { dice.word() }, dice.word())),
            cut: (dice.roll(6) == 0).then(|| dice.word()),
        };
        let files = self.many(3, file);
        let set_aside_wall_ms = self.many(2, |dice, _| i64::try_from(dice.number() >> 1).unwrap() - 5);
        Journal {
            files,
            disk_bytes: self.number(),
            count: self.number(),
            persistent: self.roll(2) > 0,
            set_aside_wall_ms,
        }
    }

    pub fn writer(&mut self, index: u32) -> LogWriter {
        LogWriter {
            unit: if index == 0 { JOURNALD.to_owned() } else { format!("{}.service", index - 1) },
            pid: self.small(),
            start_ticks: self.roll(3),
            write_bytes: self.number(),
            writes: self.number(),
        }
    }
}
