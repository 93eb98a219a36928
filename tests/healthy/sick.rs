//! How the healthy hosts get sick: the words of `mutations.tsv`. It refuses a mutation that changes nothing.
//!
//! A mutation is one or more words with arguments, joined by ` && `, all from a third of the turns on. Words:
//! `stall DISK`; `saturate DISK`; `remount-ro POINT`; `super POINT OPTION`; `look POINT {"errno":5}`; `space POINT KEY VALUE`;
//! `count PATH` (adds 1, with last_error_time now); `put PATH TEXT` (in every turn, over what was recorded); `page CONTROLLER OFFSET US_PER_S`;
//! `smart CONTROLLER BYTE VALUE`; `kernel TEXT`; `new PATH TEXT` (a file that was not recorded, from the first turn, `\n` is a line's end);
//! `later PATH TEXT` (the same from a third of the turns on, over what was recorded); `starve`
//! (everything waits for memory); `steal PERCENT`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A recording that gets sick.
pub struct Sick {
    dir: PathBuf,
    /// Of each turn: its directory, its moment in ms of both clocks.
    turns: Vec<(PathBuf, u64, u64)>,
    /// The first sick turn.
    from: usize,
}

impl Sick {
    /// Of a copy, which it changes.
    pub fn of(dir: &Path) -> Self {
        let mut turns: Vec<_> = fs::read_dir(dir.join("turns"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let now: Value = serde_json::from_str(&fs::read_to_string(path.join("now")).unwrap()).unwrap();
                (path, now["monoMs"].as_u64().unwrap(), now["wallMs"].as_u64().unwrap())
            })
            .collect();
        turns.sort();
        let from = turns.len() / 3;
        Self { dir: dir.to_owned(), turns, from }
    }

    /// The topmost layer's text of a path as of a turn; the base's for turn 0 where no turn has it.
    fn read(&self, turn: usize, path: &str) -> Option<Vec<u8>> {
        let inside = path.trim_start_matches('/');
        (0..=turn)
            .rev()
            .map(|number| self.turns[number].0.join("root").join(inside))
            .chain([self.dir.join("root").join(inside)])
            .find_map(|file| fs::read(file).ok())
    }

    fn text(&self, turn: usize, path: &str) -> String {
        String::from_utf8(self.read(turn, path).unwrap_or_else(|| panic!("{} has no {path}", self.dir.display())))
            .unwrap()
    }

    fn write(&self, turn: usize, path: &str, bytes: &[u8]) {
        let file = self.turns[turn].0.join("root").join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Takes away what the layers of a turn and of those after it have of a path.
    fn forget(&self, from: usize, path: &str) {
        for (dir, ..) in &self.turns[from..] {
            let _ = fs::remove_file(dir.join("root").join(path.trim_start_matches('/')));
        }
    }

    /// Rewrites a text from the first sick turn on, wherever a layer has it; it must change.
    fn change(&self, path: &str, edit: impl Fn(usize, &str) -> String) {
        for turn in self.from..self.turns.len() {
            let before = self.text(turn, path);
            let after = edit(turn, &before);
            assert!(after != before || turn > self.from, "{path} does not change: {before}");
            self.write(turn, path, after.as_bytes());
        }
    }

    /// One step of a mutation.
    pub fn apply(&self, step: &str) {
        let words: Vec<&str> = step.splitn(2, ' ').collect();
        let rest = words.get(1).copied().unwrap_or_default();
        let arguments: Vec<&str> = rest.split(' ').collect();
        match (words[0], &arguments[..]) {
            ("stall", [disk]) => self.stall(disk),
            ("saturate", [disk]) => self.saturate(disk),
            ("remount-ro", [point]) => self.mount(point, |fields| {
                fields[5] = fields[5].replacen("rw", "ro", 1);
                let last = fields.len() - 1;
                fields[last] = fields[last].replacen("rw", "ro", 1);
            }),
            ("super", [point, option]) => self.mount(point, |fields| {
                let last = fields.len() - 1;
                fields[last] = format!("{},{option}", fields[last]);
            }),
            ("look", [point, answer]) => self.look(point, |entry| *entry = serde_json::from_str(answer).unwrap()),
            ("space", [point, key, value]) => {
                let answers: Value = serde_json::from_str(&self.text(0, "/.recorded/statvfs.json")).unwrap();
                let dev = &answers[*point]["dev"];
                assert!(dev.is_string(), "{point} was never looked at");
                // A file system is as full wherever it is looked at.
                for (other, _) in answers.as_object().unwrap().iter().filter(|(_, answer)| answer["dev"] == *dev) {
                    self.look(other, |entry| entry[*key] = value.parse::<u64>().unwrap().into());
                }
            }
            ("count", [path]) => self.count(path),
            ("put", [path, text @ ..]) => {
                let text = text.join(" ").replace("\\n", "\n") + "\n";
                assert_ne!(self.text(0, path), text, "{path} does not change");
                self.forget(0, path);
                fs::write(self.dir.join("root").join(path.trim_start_matches('/')), text).unwrap();
            }
            ("new", [path, text @ ..]) => {
                assert!(self.read(self.turns.len() - 1, path).is_none(), "{path} is there already");
                let file = self.dir.join("root").join(path.trim_start_matches('/'));
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text.join(" ").replace("\\n", "\n") + "\n").unwrap();
            }
            ("later", [path, text @ ..]) => {
                let text = text.join(" ").replace("\\n", "\n") + "\n";
                assert_ne!(self.read(self.from, path), Some(text.clone().into_bytes()), "{path} does not change");
                self.forget(self.from, path);
                self.write(self.from, path, text.as_bytes());
            }
            ("starve", [""]) => self.waits_for("/proc/pressure/memory"),
            ("steal", [percent]) => self.steal(percent.parse().unwrap()),
            ("page", [controller, offset, pace]) => {
                self.page(controller, offset.parse().unwrap(), pace.parse().unwrap())
            }
            ("smart", [controller, byte, value]) => {
                let path = format!("/.recorded/nvme/{controller}/smart.bin");
                let mut bytes = self.read(0, &path).unwrap();
                bytes[byte.parse::<usize>().unwrap()] = value.parse().unwrap();
                self.write(self.from, &path, &bytes);
            }
            ("kernel", _) => self.kernel(rest),
            _ => panic!("no mutation is called {step:?}"),
        }
    }

    /// Requests stay in flight and none completes: all counters stand still but the busy time.
    fn stall(&self, disk: &str) {
        let frozen = self.text(self.from, "/proc/diskstats");
        let start = self.turns[self.from].1;
        self.change("/proc/diskstats", |turn, _| {
            disk_line(&frozen, disk, |fields| {
                let passed = self.turns[turn].1 - start;
                fields[11] = "5".to_owned();
                add(&mut fields[12], passed);
                add(&mut fields[13], 5 * passed);
            })
        });
    }

    /// Late enough that the disk's quiet latency is known. Every request waits many times as long as before, many at a time, and tasks wait for them.
    fn saturate(&self, disk: &str) {
        let late = Self { dir: self.dir.clone(), turns: self.turns.clone(), from: self.turns.len() * 2 / 3 };
        late.saturated(disk);
    }

    fn saturated(&self, disk: &str) {
        let start = self.turns[self.from - 1].1;
        let frozen = self.text(self.from - 1, "/proc/diskstats");
        self.change("/proc/diskstats", |turn, _| {
            disk_line(&frozen, disk, |fields| {
                let passed = self.turns[turn].1 - start;
                // 300 small writes a second, 100 ms each: 30 in the queue.
                let writes = passed * 300 / 1000;
                add(&mut fields[7], writes);
                add(&mut fields[9], writes * 24);
                add(&mut fields[10], writes * 100);
                fields[11] = "30".to_owned();
                add(&mut fields[12], passed);
                add(&mut fields[13], writes * 100);
            })
        });
        self.waits_for("/proc/pressure/io");
    }

    /// Six tenths of the time since the last turn that was well.
    fn waits_for(&self, path: &str) {
        let start = self.turns[self.from - 1].1;
        self.change(path, |turn, text| {
            let passed = self.turns[turn].1 - start;
            text.lines()
                .map(|line| {
                    let (head, total) = line.rsplit_once("total=").unwrap();
                    format!("{head}total={}\n", total.parse::<u64>().unwrap() + passed * 600)
                })
                .collect()
        });
    }

    /// The hypervisor takes so many percent of the CPUs' time: 100 ticks a second each.
    fn steal(&self, percent: u64) {
        let start = self.turns[self.from - 1].1;
        let frozen = self.text(self.from - 1, "/proc/stat");
        let cpus = frozen.lines().filter(|line| line.starts_with("cpu")).count() as u64 - 1;
        self.change("/proc/stat", |turn, _| {
            let ticks = (self.turns[turn].1 - start) / 10 * cpus;
            let (head, rest) = frozen.split_once('\n').unwrap();
            let mut fields: Vec<String> = head.split_whitespace().map(str::to_owned).collect();
            add(&mut fields[8], ticks * percent / 100);
            add(&mut fields[4], ticks * (100 - percent) / 100);
            fields.join(" ") + "\n" + rest
        });
    }

    fn mount(&self, point: &str, edit: impl Fn(&mut Vec<String>)) {
        self.change("/proc/self/mountinfo", |_, text| {
            text.lines()
                .map(|line| {
                    let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
                    if fields[4] == point {
                        edit(&mut fields);
                    }
                    fields.join(" ") + "\n"
                })
                .collect()
        });
    }

    /// The answer of a look from now on. A layer holds the answers that were different then, and no others.
    fn look(&self, point: &str, edit: impl Fn(&mut Value)) {
        const ANSWERS: &str = ".recorded/statvfs.json";
        let parsed = |layer: &Path| -> Option<Value> {
            Some(serde_json::from_str(&fs::read_to_string(layer.join(ANSWERS)).ok()?).unwrap())
        };
        let mut known = parsed(&self.dir.join("root")).and_then(|all| all.get(point).cloned());
        for (turn, (dir, ..)) in self.turns.iter().enumerate() {
            let mut own = parsed(&dir.join("root"));
            let answer = own.as_ref().and_then(|all| all.get(point).cloned());
            if turn > self.from && answer.is_none() || turn < self.from {
                known = answer.or(known);
                continue;
            }
            known = answer.or(known);
            let mut answer = known.clone().unwrap_or_else(|| panic!("{point} was never looked at"));
            edit(&mut answer);
            assert_ne!(Some(&answer), known.as_ref(), "the answer at {point} does not change");
            let own = own.get_or_insert_with(|| serde_json::json!({}));
            own[point] = answer;
            self.write(turn, ANSWERS, own.to_string().as_bytes());
        }
    }

    /// One more error, now.
    fn count(&self, path: &str) {
        let errors: u64 = self.text(0, path).trim().parse().unwrap();
        self.write(self.from, path, format!("{}\n", errors + 1).as_bytes());
        let time = path.replace("errors_count", "last_error_time");
        self.write(self.from, &time, format!("{}\n", self.turns[self.from].2 / 1000).as_bytes());
    }

    /// A counter of page 0xD0 advances by so many microseconds each second.
    fn page(&self, controller: &str, offset: usize, pace: u64) {
        let path = format!("/.recorded/nvme/{controller}/d0.bin");
        let start = self.turns[self.from].1;
        for turn in self.from..self.turns.len() {
            let mut bytes = self.read(turn, &path).unwrap();
            let mut counter = [0; 8];
            counter.copy_from_slice(&self.read(0, &path).unwrap()[offset..offset + 8]);
            let counter = u64::from_le_bytes(counter) + (self.turns[turn].1 - start) * pace / 1000;
            bytes[offset..offset + 8].copy_from_slice(&counter.to_le_bytes());
            self.write(turn, &path, &bytes);
        }
    }

    /// A record of the kernel at level 3.
    fn kernel(&self, text: &str) {
        let record = format!("3,900001,{},-;{text}\n", self.turns[self.from].1 * 1000);
        let before = self.read(self.from, "/dev/kmsg").unwrap_or_default();
        self.write(self.from, "/dev/kmsg", &[before, record.into_bytes()].concat());
    }
}

fn add(field: &mut String, amount: u64) {
    // The kernel's own counters of time have 32 bits; those of requests have more than any recording reaches.
    *field = (field.parse::<u64>().unwrap() + amount).to_string();
}

/// One disk's line edited; fields as split by white space, the name is the third.
fn disk_line(text: &str, disk: &str, edit: impl Fn(&mut Vec<String>)) -> String {
    text.lines()
        .map(|line| {
            let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            if fields[2] == disk {
                edit(&mut fields);
            }
            fields.join(" ") + "\n"
        })
        .collect()
}
