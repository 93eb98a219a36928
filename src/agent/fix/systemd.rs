//! systemctl, as far as a fix needs it. It refuses to believe an exit code: states are asked for.

use std::path::Path;
use std::time::Duration;

use crate::host::{self, Host, HostError, Reason};

const PROGRAMS: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
/// Longer than a unit may take to stop.
const LONGEST: Duration = Duration::from_secs(150);

/// A unit as systemd has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    /// `active`, `inactive`, `failed`, ...
    pub(super) active: String,
    /// `enabled`, `disabled`, `static`, `masked`, ...; empty where there is no file.
    pub(super) file: String,
}

impl State {
    pub(super) fn is_active(&self) -> bool {
        ["active", "activating", "reloading"].contains(&self.active.as_str())
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.file == "enabled" || self.file == "enabled-runtime"
    }
}

/// Asks for a unit.
pub(super) fn state(host: &Host, unit: &str) -> Result<State, HostError> {
    let text = call(host, &["show", unit, "--property=ActiveState", "--property=UnitFileState"])?;
    Ok(parse(&text))
}

fn parse(text: &str) -> State {
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    State { active: value("ActiveState").to_owned(), file: value("UnitFileState").to_owned() }
}

/// Runs it; what it says where it fails is in the journal, its exit code is told.
pub(super) fn call(host: &Host, args: &[&str]) -> Result<String, HostError> {
    let program = PROGRAMS.into_iter().find(|path| host.exists(Path::new(path))).unwrap_or(PROGRAMS[0]);
    let finished = host::run(host, Path::new(program), args, LONGEST)?;
    match finished.code {
        Some(0) => Ok(finished.output),
        code => {
            let code = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
            let words =
                format!("`systemctl {}` ended {code} (see `systemctl status` and `journalctl -b`)", args.join(" "));
            Err(HostError { act: "run", path: program.into(), reason: Reason::Other(words) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read() {
        let state = parse("ActiveState=active\nUnitFileState=enabled\n");
        assert!(state.is_active() && state.is_enabled());
        let state = parse("UnitFileState=\nActiveState=inactive\n");
        assert!(!state.is_active() && !state.is_enabled() && state.file.is_empty());
    }
}
