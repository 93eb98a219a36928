//! Units that the node cannot do without, as systemd sees them. The manager may be slow, so only a probe child, or a recording, asks it. It refuses to ask
//! of units that systemd has not loaded: those have neither run nor failed.

use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::{JOURNALD, KUBE_UNITS, UnitState};

/// Asks of kubelet's, the container runtimes' and the journal's.
pub(super) fn read(host: &Host) -> Reading<Vec<UnitState>> {
    let units: Vec<&str> = KUBE_UNITS.iter().map(|(unit, _)| *unit).chain([JOURNALD]).collect();
    match host.units(&units) {
        Ok(Some(text)) => match parse(&text) {
            Ok(units) => Reading::fresh(units, "systemd"),
            Err(why) => Reading::failed(why),
        },
        Ok(None) => {
            Reading::absent("nobody to ask about units: this machine has neither a system bus nor systemd's own socket")
        }
        Err(error) => Reading::failed(error.to_string()),
    }
}

/// `Name=value` a line, an empty line between units, as `systemctl show` writes them; names that are not needed are passed over.
fn parse(text: &str) -> Result<Vec<UnitState>, String> {
    let mut units = Vec::new();
    for (index, block) in text.split("\n\n").filter(|block| !block.trim().is_empty()).enumerate() {
        let value = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| -> Result<Option<u64>, String> {
            let parsed = value(name).map(str::parse).transpose();
            parsed.map_err(|_| format!("unit {}: {name} is no number", index + 1))
        };
        let word = |name: &str| {
            value(name).map(str::to_owned).ok_or_else(|| format!("unit {}: systemd did not tell its {name}", index + 1))
        };
        units.push(UnitState {
            unit: word("Id")?,
            active: word("ActiveState")?,
            sub: value("SubState").unwrap_or_default().to_owned(),
            result: value("Result").unwrap_or_default().to_owned(),
            restarts: number("NRestarts")?,
            started_us: number("ExecMainStartTimestampMonotonic")?.unwrap_or_default(),
            // CLD_EXITED; others are signals.
            exit_status: if value("ExecMainCode") == Some("1") { number("ExecMainStatus")? } else { None },
        });
    }
    Ok(units)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the note that is read.
mod tests {
    use super::*;

    #[test]
    fn systemds_words_are_taken_as_they_are() {
        let text = "Id=kubelet.service\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=7\nExecMainStartTimestampMonotonic=99\nExecMainCode=1\nExecMainStatus=255\n\n\
                    Id=systemd-journald.service\nActiveState=active\nMainPID=1\nExecMainCode=2\nExecMainStatus=9\n";
        let units = parse(text).unwrap();
        let kubelet = UnitState {
            unit: "kubelet.service".to_owned(),
            active: "activating".to_owned(),
            sub: "auto-restart".to_owned(),
            result: "exit-code".to_owned(),
            restarts: Some(7),
            started_us: 99,
            exit_status: Some(255),
        };
        assert_eq!(units[0], kubelet);
        assert_eq!((units[1].restarts, units[1].exit_status), (None, None));
        assert_eq!(parse(""), Ok(Vec::new()));
        for text in ["Id=x", "ActiveState=active", "Id=x\nActiveState=active\nNRestarts=-1"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        assert!(matches!(read(&host), Reading::Absent { .. }));
        std::fs::create_dir_all(root.path().join(".recorded/told")).unwrap();
        std::fs::write(root.path().join(".recorded/told/units"), text).unwrap();
        assert_eq!(read(&host).value().unwrap().len(), 2);
    }
}
