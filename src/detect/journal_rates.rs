//! Counts of the journal's index made into rates: shared by the detectors of what goes to the journal. It refuses to take a file that was rotated away
//! for one that shrank, since a new file begins at nothing, and to make a rate of counts of which some are missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::scene::Scene;
use super::slot::Look;
use super::window::ratio;
use crate::model::status::Standing;
use crate::model::time::Mono;
use crate::model::watch::{Journal, JournalFile, Newest};

/// Stands for a unit where a message has none: of a process that was gone when journald looked, as a rule.
pub const NO_UNIT: &str = "without a unit";

/// What is kept of the last look, by file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counter {
    taken: Mono,
    files: BTreeMap<String, Before>,
    /// Two looks have been taken, so that there are rates.
    rated: bool,
}

/// Which file it was, its counts by name, and whether all of them were there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Before {
    id: String,
    counts: BTreeMap<String, u64>,
    floor: u64,
    whole: bool,
}

/// What came between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Came {
    /// Between them.
    pub window_ms: u64,
    /// How many, by name.
    pub counts: BTreeMap<String, u64>,
}

impl Came {
    /// Per second.
    pub fn per_s(&self, count: u64) -> f64 {
        ratio(count.saturating_mul(1000), self.window_ms)
    }

    /// Of one name.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

impl Counter {
    /// Takes a look, where it is new; what came since the one before.
    pub fn take(&mut self, scene: &Scene<'_>, pick: impl Fn(&JournalFile) -> BTreeMap<String, u64>) -> Option<Came> {
        let taken = scene.samples.journal.taken;
        let journal = scene.samples.journal.value().filter(|_| taken > self.taken)?;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut files = BTreeMap::new();
        let first = self.taken == Mono(0);
        for file in &journal.files {
            let whole = file.cut.is_none();
            let now = if whole { pick(file) } else { BTreeMap::new() };
            // A file that was not there before is a rotated one, or a new user's: all in it is new.
            let nothing = Before { whole: true, ..Before::default() };
            let before =
                self.files.get(&file.path).filter(|before| before.id == file.id || !before.whole).unwrap_or(&nothing);
            for (name, count) in now.iter().filter(|_| before.whole) {
                let new = count.saturating_sub(before.counts.get(name).copied().unwrap_or(before.floor));
                let sum = counts.entry(name.clone()).or_default();
                *sum = sum.saturating_add(new);
            }
            files.insert(file.path.clone(), Before { id: file.id.clone(), counts: now, floor: file.floor, whole });
        }
        let window_ms = taken.since_ms(self.taken);
        (self.taken, self.files, self.rated) = (taken, files, !first);
        (!first).then_some(Came { window_ms, counts })
    }

    /// A look without findings: before the second one nothing can be judged.
    pub fn quiet(&self) -> Look {
        let mut look = Look::at(Vec::new());
        if !self.rated {
            let why = "a rate needs two looks at the journal's counts, a minute apart".to_owned();
            look.standing = Standing::Learning { why };
        }
        look
    }
}

/// Messages of some kind: whether there are too many, and whose they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rate {
    counter: Counter,
    hold: Hold,
    /// Messages in the newest window, and its length.
    count: u64,
    window_ms: u64,
    /// Whose, as it was when it began or was last known.
    unit: String,
}

impl Rate {
    /// Takes a look, where it is new: too many are more than `most_per_s` of what `count` finds in it, few are at most half of that. Whose they are is
    /// what the newest of each file say.
    pub fn take(
        &mut self,
        scene: &Scene<'_>,
        (most_per_s, patience): (u32, Patience),
        count: impl Fn(&Came) -> u64,
        newest: impl Fn(&JournalFile) -> &Newest,
    ) {
        let Some(came) = self.counter.take(scene, priorities) else { return };
        (self.count, self.window_ms) = (count(&came), came.window_ms);
        let (rate, most) = (self.per_s(), f64::from(most_per_s));
        let sign = match (rate > most, rate * 2.0 > most) {
            (true, _) => Sign::Sick,
            (false, true) => Sign::Neither,
            (false, false) => Sign::Well,
        };
        self.hold.take(sign, patience);
        let files = scene.samples.journal.value().map_or(&[][..], |journal| journal.files.as_slice());
        if sign == Sign::Sick
            && let Some((unit, _)) = whose(files.iter().map(newest)).first()
        {
            self.unit.clone_from(unit);
        }
    }

    /// While there are too many, whose they are; else a look without findings.
    pub fn unit(&self) -> Result<&str, Look> {
        if self.hold.is_on() { Ok(&self.unit) } else { Err(self.counter.quiet()) }
    }

    /// In the newest window.
    pub fn per_s(&self) -> f64 {
        ratio(self.count.saturating_mul(1000), self.window_ms)
    }

    /// Its length, in s.
    pub fn window_s(&self) -> u64 {
        self.window_ms / 1000
    }
}

/// The journal's counts; where nobody has them, or those of the system's own file are not whole, that is what is known.
pub fn counted<'a>(scene: &Scene<'a>) -> Result<&'a Journal, Look> {
    let sampled = &scene.samples.journal;
    let Some(journal) = sampled.value() else {
        return Err(Look::unknown(format!("nobody has counted the journal's messages: {}", sampled.reading.origin())));
    };
    let mut systems = journal.files.iter().filter(|file| file.path.ends_with(SYSTEMS));
    match systems.find_map(|file| file.cut.as_ref().map(|why| (&file.path, why))) {
        Some((path, why)) => Err(Look::unknown(format!("the index of {path} is not read: {why}"))),
        None => Ok(journal),
    }
}

/// The file that all but users' sessions log to.
const SYSTEMS: &str = "/system.journal";

/// Messages by priority, as names.
fn priorities(file: &JournalFile) -> BTreeMap<String, u64> {
    file.priorities.iter().enumerate().map(|(priority, count)| (priority.to_string(), *count)).collect()
}

/// Whose the newest messages of a kind are, over all files, those who have most first; messages without a unit count as `without a unit`.
pub fn whose<'a>(newest: impl Iterator<Item = &'a Newest>) -> Vec<(String, u64)> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (unit, count) in newest.flat_map(|one| &one.units) {
        let name = if unit.is_empty() { NO_UNIT } else { unit };
        let sum = all.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(*count);
    }
    let mut list: Vec<_> = all.into_iter().collect();
    list.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    list
}

/// How a unit is told to say less, in its own words where they are known.
pub fn say_less(unit: &str) -> String {
    let own = match unit {
        "kubelet.service" => "kubelet: `--v=2` or `logging.verbosity: 2` in its configuration; ",
        "containerd.service" => "containerd: `[debug] level = \"info\"` in /etc/containerd/config.toml; ",
        "crio.service" => "CRI-O: `log_level = \"info\"` in /etc/crio/crio.conf.d; ",
        "docker.service" => "docker: `\"debug\": false` in /etc/docker/daemon.json; ",
        _ => "",
    };
    match unit {
        "kernel" => "`journalctl -k` shows what repeats; a firewall's LOG rules and debugging of a driver are the usual causes".to_owned(),
        _ if is_edited(unit) => format!(
            "{own}`systemctl edit {unit}` with [Service] LogLevelMax=info, or LogRateLimitIntervalSec=30s and LogRateLimitBurst=1000, then systemctl restart {unit}"
        ),
        _ => "let its program log less, or set RateLimitIntervalSec= and RateLimitBurst= in /etc/systemd/journald.conf.d/".to_owned(),
    }
}

/// A unit whose logging a drop-in changes, by a name that a shell takes as it is.
pub fn is_edited(unit: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._:-".contains(&byte);
    unit.ends_with(".service") && unit.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::made;
    use super::super::scene::Past;
    use super::*;
    use crate::model::watch::{Journal, Samples};

    #[test]
    fn files_rotate_and_come() {
        let mut counter = Counter::default();
        let mut look = |seconds: u64, files: &[(&str, &str, u64)]| {
            let file = |(path, id, entries): &(&str, &str, u64)| JournalFile {
                path: (*path).to_owned(),
                id: (*id).to_owned(),
                entries: *entries,
                ..JournalFile::default()
            };
            let journal = Journal { files: files.iter().map(file).collect(), ..Journal::default() };
            let samples = Samples { journal: made::fresh(seconds, journal), ..Samples::default() };
            let (now, active) = (made::now(seconds), BTreeSet::new());
            let scene = Scene::new(&now, &samples, &active, &mut Past::default());
            let all = |file: &JournalFile| BTreeMap::from([("all".to_owned(), file.entries)]);
            counter.take(&scene, all).map(|came| (came.window_ms, came.of("all")))
        };
        assert_eq!(look(60, &[("s", "1", 1000)]), None);
        assert_eq!(look(60, &[("s", "1", 9000)]), None, "the same look again");
        assert_eq!(look(120, &[("s", "1", 1600)]), Some((60_000, 600)));
        assert_eq!(look(180, &[("s", "2", 50)]), Some((60_000, 50)), "rotated");
        assert_eq!(look(240, &[("s", "2", 60), ("u", "3", 5)]), Some((60_000, 15)));
        assert_eq!(look(300, &[("s", "2", 10)]), Some((60_000, 0)), "a corrupt file");
    }

    #[test]
    fn what_is_missing_is_not_new() {
        let mut counter = Counter::default();
        let mut look = |seconds: u64, units: &[(&str, u64)], floor: u64, cut: Option<&str>| {
            let units = units.iter().map(|(unit, count)| ((*unit).to_owned(), *count)).collect();
            let cut = cut.map(str::to_owned);
            // A file of which not even the header was read has no id either.
            let id = if cut.is_some() { String::new() } else { "1".to_owned() };
            let file = JournalFile { path: "u".to_owned(), id, units, floor, cut, ..JournalFile::default() };
            let journal = Journal { files: vec![file], ..Journal::default() };
            let samples = Samples { journal: made::fresh(seconds, journal), ..Samples::default() };
            let (now, active) = (made::now(seconds), BTreeSet::new());
            let scene = Scene::new(&now, &samples, &active, &mut Past::default());
            let came = counter.take(&scene, |file| file.units.clone())?;
            Some(came.counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(" "))
        };
        let seen = |text: &str| Some(text.to_owned());
        assert_eq!(look(60, &[("a", 9000), ("b", 800)], 700, None), None);
        assert_eq!(look(120, &[("a", 9100), ("c", 820)], 810, None), seen("a 100 c 120"), "c had at most 700");
        assert_eq!(look(180, &[("a", 9200)], 0, Some("an object is not what it should be")), seen(""));
        assert_eq!(look(240, &[("a", 9300), ("c", 900)], 0, None), seen(""), "nothing to compare with");
        assert_eq!(look(300, &[("a", 9310), ("c", 901)], 0, None), seen("a 10 c 1"));
    }

    #[test]
    fn the_systems_own_file_is_needed() {
        let judged = |path: &str, cut: Option<&str>| {
            let file = JournalFile { path: path.to_owned(), cut: cut.map(str::to_owned), ..JournalFile::default() };
            let journal = Journal { files: vec![file], ..Journal::default() };
            let samples = Samples { journal: made::fresh(60, journal), ..Samples::default() };
            let (now, active) = (made::now(60), BTreeSet::new());
            counted(&Scene::new(&now, &samples, &active, &mut Past::default())).map(|_| ())
        };
        let path = "/var/log/journal/0123/system.journal";
        let why = Look::unknown(format!("the index of {path} is not read: a chain has no end"));
        assert_eq!(judged(path, Some("a chain has no end")), Err(why));
        assert_eq!(judged(path, None), Ok(()));
        assert_eq!(judged("/var/log/journal/0123/user-1000.journal", Some("x")), Ok(()));
    }

    #[test]
    fn advice_is_for_a_shell() {
        assert!(say_less("kubelet.service").contains("`--v=2`"));
        assert!(say_less("app@1.service").starts_with("`systemctl edit app@1.service`"));
        assert!(say_less("kernel").contains("journalctl -k"));
        for other in ["session-4.scope", "without a unit", "a b;reboot.service", "a\\x2db.service"] {
            assert!(!say_less(other).contains("systemctl edit"), "{other}");
        }
    }
}
