//! What the daemon has seen the node use: its state of this boot, and where that is asked for, a file that outlives boots. It refuses to take half of a file,
//! another machine's, and to throw away one that it cannot read: that is set aside.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::{Host, Wanted};
use crate::model::Reading;
use crate::model::machine::Identity;
use crate::model::status::{Part, Standing};
use crate::model::usage::{History, STEP_MINUTES};

/// Where it is kept over a boot.
pub const KEPT: &str = "/var/lib/node-steward/history.json";
/// The daemon's state; the history is a small part of it.
pub const STATE: &str = "/run/node-steward/state.json";
/// Of the layout of what is kept.
const VERSION: u32 = 1;
const MOST_BYTES: u64 = 16 << 20;
/// The source of samples that it is made of, by its name in the status.
const SOURCE: &str = "outside_pods";

/// What is kept: on whose disk, and in which steps.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    version: u32,
    machine: Identity,
    step_minutes: u32,
    points: History,
}

/// Both, as one; `state` is the daemon's state file.
pub fn read(host: &Host, state: &Path, here: &Identity) -> Reading<History> {
    let (kept, now) = (kept(host, here), running(host, state));
    match (kept, now) {
        (Reading::Fresh { value: older, .. }, Reading::Fresh { value: newer, .. }) => {
            Reading::fresh(newer.after(older), format!("{KEPT} and {}", state.display()))
        }
        (Reading::Failed { why }, Reading::Fresh { value, from }) => {
            Reading::fresh(value, format!("{from} alone; {why}"))
        }
        (Reading::Absent { .. }, now @ (Reading::Fresh { .. } | Reading::Failed { .. })) => now,
        // There, and another machine's.
        (kept @ Reading::Absent { .. }, _) if host.exists(Path::new(KEPT)) => kept,
        (Reading::Absent { .. }, now) => now,
        (kept, _) => kept,
    }
}

/// What was kept over a boot.
fn kept(host: &Host, here: &Identity) -> Reading<History> {
    file(host, Path::new(KEPT), |bytes| {
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match (kept.version, kept.step_minutes) {
            (VERSION, STEP_MINUTES) if kept.machine.same_machine(here) => Ok(Ok(kept.points)),
            (VERSION, STEP_MINUTES) => Ok(Err(format!("{KEPT} is another machine's"))),
            (version, step) => {
                Err(format!("version {version} in steps of {step} min; ours is {VERSION} and {STEP_MINUTES}"))
            }
        }
    })
}

/// Takes up what was kept. What cannot be understood is set aside, and that is said.
pub fn take_up(host: &Host, here: &Identity) -> Result<Option<History>, String> {
    match kept(host, here) {
        Reading::Fresh { value, .. } => Ok(Some(value)),
        Reading::Absent { .. } => Ok(None),
        // What the disk does not give may be whole.
        Reading::Failed { why } if !matches!(host.read(Path::new(KEPT), MOST_BYTES), Ok(Some(_))) => Err(why),
        Reading::Failed { why } => Err(match host.set_aside(Path::new(KEPT)) {
            Ok(aside) => format!("{why}; it is set aside as {}", aside.display()),
            Err(error) => format!("{why}; {error}"),
        }),
    }
}

/// Keeps the state's history behind what was kept before. An error that is no failure to write is told after the write.
pub fn keep(host: &Host, state: &Path, here: &Identity) -> Result<(), String> {
    let newer = match running(host, state) {
        Reading::Fresh { value, .. } => value,
        Reading::Absent { why } | Reading::Failed { why } => return Err(why),
    };
    let (older, trouble) = match take_up(host, here) {
        Ok(older) => (older, Ok(())),
        // Set aside: a new one begins. Not even set aside: nothing is written over it.
        Err(why) if !host.exists(Path::new(KEPT)) => (None, Err(why)),
        Err(why) => return Err(why),
    };
    let points = newer.after(older.unwrap_or_default());
    let kept = Kept { version: VERSION, machine: here.clone(), step_minutes: STEP_MINUTES, points };
    let bytes = serde_json::to_vec(&kept).map_err(|error| error.to_string())?;
    host.write_atomic(&Wanted { path: KEPT.into(), bytes, mode: 0o600 }).map_err(|error| error.to_string())?;
    trouble
}

fn running(host: &Host, state: &Path) -> Reading<History> {
    #[derive(Deserialize)]
    struct State {
        watch: Watch,
        #[serde(default)]
        status: Seen,
    }
    #[derive(Deserialize, Default)]
    struct Seen {
        #[serde(default)]
        sources: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Watch {
        #[serde(default)]
        usage: Usage,
    }
    #[derive(Deserialize, Default)]
    struct Usage {
        #[serde(default)]
        history: History,
    }
    file(host, state, |bytes| {
        let state: State = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let history = state.watch.usage.history;
        let blind = state.status.sources.into_iter().find_map(|part| match part.standing {
            Standing::Unknown { why } | Standing::Learning { why } if part.name == SOURCE => Some(why),
            _ => None,
        });
        match blind {
            Some(why) if history.points().is_empty() => Ok(Err(format!("the daemon cannot see it: {why}"))),
            _ => Ok(Ok(history)),
        }
    })
}

/// A file that is understood: its history, or why it is none of this machine's.
type Parsed = Result<Result<History, String>, String>;

fn file(host: &Host, path: &Path, parse: impl FnOnce(&[u8]) -> Parsed) -> Reading<History> {
    let path_text = path.display();
    match host.read(path, MOST_BYTES) {
        Ok(Some(bytes)) => match parse(&bytes) {
            Ok(Ok(history)) => Reading::fresh(history, path_text.to_string()),
            Ok(Err(why)) => Reading::absent(why),
            Err(error) => Reading::failed(format!("{path_text}: {error}")),
        },
        Ok(None) => Reading::absent(format!("there is no {path_text}: does the daemon run?")),
        Err(error) => Reading::failed(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the files that are read.
mod tests {
    use super::*;

    fn here() -> Identity {
        Identity { product_uuid: "a".to_owned(), cores: 4, memory_bytes: 1 << 34 }
    }

    struct Made {
        root: tempfile::TempDir,
        host: Host,
    }

    impl Made {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            Self { host: Host::new(root.path()).unwrap(), root }
        }

        fn put(&self, path: &str, text: &str) {
            let file = self.root.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }

        fn state(&self, minutes: &[u32]) {
            let points = points(minutes);
            self.put(
                STATE,
                &format!(r#"{{"version":1,"watch":{{"version":1,"usage":{{"history":{points}}}}},"status":{{}}}}"#),
            );
        }

        fn kept(&self, minutes: &[u32], uuid: &str) {
            let points = points(minutes);
            let machine = format!(r#"{{"productUuid":"{uuid}","cores":4,"memoryBytes":{}}}"#, 1u64 << 34);
            self.put(KEPT, &format!(r#"{{"version":1,"machine":{machine},"stepMinutes":15,"points":{points}}}"#));
        }

        fn read(&self) -> Reading<History> {
            read(&self.host, Path::new(STATE), &here())
        }

        fn minutes(&self) -> Option<Vec<u32>> {
            minutes(self.read().value())
        }
    }

    fn points(minutes: &[u32]) -> String {
        let all: Vec<_> = minutes.iter().map(|minute| format!("[{minute},1,2,3,4,5,null,6,null,8,9]")).collect();
        format!("[{}]", all.join(","))
    }

    fn minutes(history: Option<&History>) -> Option<Vec<u32>> {
        history.map(|all| all.points().iter().map(|point| point.minute).collect())
    }

    #[test]
    fn this_boots_state_comes_after_what_was_kept() {
        let made = Made::new();
        assert!(matches!(made.read(), Reading::Absent { .. }));
        made.kept(&[15, 30], "a");
        assert_eq!(made.minutes().unwrap(), [15, 30]);
        made.state(&[30, 45]);
        assert_eq!(made.minutes().unwrap(), [15, 30, 45]);
        made.kept(&[15, 30], "b");
        assert_eq!(made.minutes().unwrap(), [30, 45], "another machine's is not taken");
        made.put(STATE, r#"{"version":1,"watch":{"version":1}}"#);
        assert!(made.minutes().unwrap().is_empty());
    }

    #[test]
    fn a_history_of_nothing_names_what_could_not_be_seen() {
        let made = Made::new();
        let sources = r#"[{"name":"pressure","state":"unknown","why":"no"},{"name":"outside_pods","state":"unknown","why":"no hierarchy of cgroups counts memory here"}]"#;
        made.put(STATE, &format!(r#"{{"version":1,"watch":{{"version":1}},"status":{{"sources":{sources}}}}}"#));
        let reading = made.read();
        assert!(matches!(reading, Reading::Absent { .. }), "{reading:?}");
        assert!(reading.origin().ends_with("cannot see it: no hierarchy of cgroups counts memory here"), "{reading:?}");
        // What was seen before it went blind stays.
        let usage = format!(r#"{{"history":{}}}"#, points(&[15]));
        made.put(
            STATE,
            &format!(r#"{{"version":1,"watch":{{"version":1,"usage":{usage}}},"status":{{"sources":{sources}}}}}"#),
        );
        assert_eq!(made.minutes().unwrap(), [15]);
    }

    #[test]
    fn a_bad_file_is_an_error_and_never_no_use() {
        let whole = format!(
            r#"{{"version":1,"machine":{{"productUuid":"a","cores":4,"memoryBytes":1}},"stepMinutes":15,"points":{}}}"#,
            points(&[15])
        );
        let newer = whole.replace(r#""version":1"#, r#""version":9"#);
        for text in
            ["", "[]", "[[15,1", "{}", &whole[..whole.len() - 3], &newer, &whole.replace("[15,1,2,3", "[15,1,2,null")]
        {
            let made = Made::new();
            made.put(KEPT, text);
            assert!(matches!(made.read(), Reading::Failed { .. }), "{text}");
            let said = take_up(&made.host, &here()).unwrap_err();
            assert!(said.contains("history.json") && said.contains("set aside as"), "{said}");
            assert!(!made.host.exists(Path::new(KEPT)) && made.host.exists(Path::new(&format!("{KEPT}.unreadable"))));
            // With a state there is still what the daemon has seen since the boot, and it says that it is not all.
            made.put(KEPT, text);
            made.state(&[45]);
            assert_eq!(made.minutes().unwrap(), [45]);
            assert!(made.read().origin().contains("alone"), "{}", made.read().origin());
        }
    }

    #[test]
    fn what_is_kept_is_found_in_the_next_boot() {
        let made = Made::new();
        assert!(keep(&made.host, Path::new(STATE), &here()).is_err(), "there is no state");
        made.state(&[15, 30]);
        keep(&made.host, Path::new(STATE), &here()).unwrap();
        made.state(&[45]);
        keep(&made.host, Path::new(STATE), &here()).unwrap();
        std::fs::remove_file(made.root.path().join(STATE.trim_start_matches('/'))).unwrap();
        assert_eq!(made.minutes().unwrap(), [15, 30, 45]);
        assert_eq!(minutes(take_up(&made.host, &here()).unwrap().as_ref()).unwrap(), [15, 30, 45]);
        // One that cannot be read goes aside before a new one begins.
        made.put(KEPT, "half a {");
        made.state(&[60]);
        assert!(keep(&made.host, Path::new(STATE), &here()).unwrap_err().contains("set aside as"));
        assert_eq!(minutes(take_up(&made.host, &here()).unwrap().as_ref()).unwrap(), [60]);
        let aside = made.host.read(Path::new(&format!("{KEPT}.unreadable")), 100).unwrap().unwrap();
        assert_eq!(aside, b"half a {");
    }
}
