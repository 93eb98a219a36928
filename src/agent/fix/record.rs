//! What a fix found and changed, kept over reboots so that it can be taken back. It refuses to forget before the host is as it was.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::{Host, HostError, HostResult, Reason, Wanted};

const PATH: &str = "/var/lib/node-steward/syslog.json";
const VERSION: u32 = 1;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    version: u32,
    /// The daemons' units as they were.
    pub(super) units: Vec<Unit>,
    /// The socket was active.
    pub(super) socket: bool,
    /// The drop-in was written.
    pub(super) drop_in: bool,
}

/// A unit as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unit {
    /// Its name.
    pub(super) unit: String,
    /// It was started at boot.
    pub(super) enabled: bool,
    /// It ran.
    pub(super) active: bool,
}

impl Record {
    /// Before the change.
    pub(super) fn new(units: Vec<Unit>, socket: bool, drop_in: bool) -> Self {
        Self { version: VERSION, units, socket, drop_in }
    }

    /// What an earlier run changed; an upgrade may have switched it on again, so both are taken back together.
    pub(super) fn over(mut self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier {
            self.socket |= earlier.socket;
            self.drop_in |= earlier.drop_in;
            for unit in earlier.units {
                match self.units.iter_mut().find(|one| one.unit == unit.unit) {
                    Some(one) => (one.enabled, one.active) = (one.enabled | unit.enabled, one.active | unit.active),
                    None => self.units.push(unit),
                }
            }
        }
        self
    }

    pub(super) fn read(host: &Host) -> HostResult<Option<Self>> {
        let failed = |why: String| HostError { act: "read", path: PATH.into(), reason: Reason::Other(why) };
        let Some(bytes) = host.read(Path::new(PATH), 1 << 20)? else { return Ok(None) };
        let record: Self = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if record.version != VERSION {
            return Err(failed(format!("its version is {}, and this program knows {VERSION}", record.version)));
        }
        Ok(Some(record))
    }

    pub(super) fn write(&self, host: &Host) -> HostResult<()> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        host.write_atomic(&Wanted { path: PATH.into(), bytes, mode: 0o644 }).map(drop)
    }

    pub(super) fn remove(host: &Host) -> HostResult<()> {
        host.remove(Path::new(PATH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_knows_its_version() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        assert_eq!(Record::read(&host).unwrap(), None);
        let unit = |enabled| Unit { unit: "rsyslog.service".to_owned(), enabled, active: true };
        let first = Record::new(vec![unit(true)], true, true);
        first.write(&host).unwrap();
        assert_eq!(Record::read(&host).unwrap(), Some(first.clone()));
        let again = Record::new(vec![unit(false)], false, false).over(Some(first.clone()));
        assert_eq!(again, first);
        let newer = Record { version: 2, ..first };
        newer.write(&host).unwrap();
        assert!(Record::read(&host).unwrap_err().to_string().contains("version is 2"));
        Record::remove(&host).unwrap();
        assert_eq!(Record::read(&host).unwrap(), None);
    }
}
