//! What has to be done so that a host's logs are written once, and what stands against it. Pure. It refuses where the syslog daemon does anything that
//! the journal does not.

use crate::model::watch::{Logging, SyslogDaemon};

/// The drop-in for journald: late among its kind, so that it has the last word.
pub(super) const DROP_IN: &str = "/etc/systemd/journald.conf.d/99-node-steward-no-syslog.conf";
/// Its content.
pub(super) const CONTENT: &str = "# Made by `node-steward fix syslog --apply`; `node-steward fix syslog --undo` removes it.\n[Journal]\nForwardToSyslog=no\n";
/// The socket to which journald forwards.
pub(super) const SOCKET: &str = "syslog.socket";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The daemons' units.
    pub(super) units: Vec<String>,
    /// Whether journald forwards and must be told not to.
    pub(super) forwards: bool,
    /// Whether one of them listens on the socket.
    pub(super) socket: bool,
}

impl Plan {
    /// The steps in words, those of them that `socket_active` does not make needless.
    pub(super) fn steps(&self, socket_active: bool) -> Vec<String> {
        let mut steps = Vec::new();
        if self.forwards {
            steps.push(format!("write {DROP_IN}: [Journal] ForwardToSyslog=no"));
            steps.push("systemctl restart systemd-journald.service (it keeps the streams of those who log)".to_owned());
        }
        steps.push(format!("systemctl stop {}", self.stopped(socket_active).join(" ")));
        steps.push(format!("systemctl disable {}", self.units.join(" ")));
        steps
    }

    /// All that is stopped, in one transaction: the socket would start the daemon again.
    pub(super) fn stopped(&self, socket_active: bool) -> Vec<&str> {
        let socket = socket_active.then_some(SOCKET);
        socket.into_iter().chain(self.units.iter().map(String::as_str)).collect()
    }
}

/// The plan; none where no syslog daemon runs.
pub(super) fn plan(logging: &Logging, force: bool) -> Result<Option<Plan>, Vec<String>> {
    if logging.daemons.is_empty() {
        return Ok(None);
    }
    let journal = &logging.journal;
    let mut against = Vec::new();
    if !journal.persistent {
        let storage = &journal.storage;
        against.push(format!(
            "the journal does not outlive a reboot (Storage={storage}, no journal in /var/log/journal), so the syslog daemon's files are the only log that does; `mkdir -p /var/log/journal && systemctl restart systemd-journald && journalctl --flush` keeps it, where Storage is auto or persistent"
        ));
    }
    let readers = logging.readers.iter().filter(|_| !force).map(|reader| match reader.open {
        true => format!("{} has {} open", reader.who, reader.path),
        false => format!("{} names {}", reader.who, reader.path),
    });
    let readers: Vec<String> = readers.collect();
    if !readers.is_empty() {
        against.push(format!("{} (let it read the journal first; --force leaves it without)", readers.join(", ")));
    }
    for daemon in &logging.daemons {
        against.extend(daemon.sends.iter().map(|to| format!("{} sends messages to {to}", daemon.unit)));
        against.extend(
            daemon.listens.iter().map(|from| format!("{} takes messages of other hosts ({from})", daemon.unit)),
        );
    }
    if !against.is_empty() {
        return Err(against);
    }
    Ok(Some(Plan {
        units: logging.daemons.iter().map(|daemon| daemon.unit.clone()).collect(),
        forwards: journal.forward_to_syslog,
        socket: logging.daemons.iter().any(|daemon| daemon.reads_socket),
    }))
}

/// What it rests on.
pub(super) fn notes(logging: &Logging) -> Vec<String> {
    let one = |daemon: &SyslogDaemon| {
        let files: Vec<&str> = daemon.files.iter().map(|file| file.path.as_str()).collect();
        let alias = if daemon.alias { ", the unit behind syslog.service," } else { "" };
        format!("{}{alias} reads {} and writes {}", daemon.unit, daemon.inputs.join(", "), files.join(", "))
    };
    let mut notes: Vec<String> = logging.daemons.iter().map(one).collect();
    let journal = &logging.journal;
    let forward = if journal.forward_to_syslog { "yes" } else { "no" };
    notes.push(format!("ForwardToSyslog={forward} ({}), Storage={}", journal.forward_from, journal.storage));
    match &logging.readers[..] {
        [] if !logging.daemons.is_empty() => {
            notes.push("nobody has one of these files open, and no log shipper's configuration names one".to_owned())
        }
        readers => notes.extend(readers.iter().map(|reader| format!("read by {} ({})", reader.who, reader.path))),
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::{JournalSetup, LogFile, LogReader};

    fn logging() -> Logging {
        let file = LogFile { path: "/var/log/messages".to_owned(), ..LogFile::default() };
        Logging {
            daemons: vec![SyslogDaemon {
                unit: "rsyslog.service".to_owned(),
                files: vec![file],
                reads_socket: true,
                ..SyslogDaemon::default()
            }],
            journal: JournalSetup { persistent: true, forward_to_syslog: true, ..JournalSetup::default() },
            readers: Vec::new(),
        }
    }

    #[test]
    fn what_the_journal_does_not_do_is_refused() {
        assert_eq!(plan(&Logging::default(), false), Ok(None));
        let all = plan(&logging(), false).unwrap().unwrap();
        assert_eq!((all.steps(true).len(), all.stopped(true)), (4, vec!["syslog.socket", "rsyslog.service"]));
        let mut imjournal = logging();
        (imjournal.journal.forward_to_syslog, imjournal.daemons[0].reads_socket) = (false, false);
        assert_eq!(
            plan(&imjournal, false).unwrap().unwrap().steps(false),
            ["systemctl stop rsyslog.service", "systemctl disable rsyslog.service"]
        );
        let against = |change: &dyn Fn(&mut Logging), force| {
            let mut all = logging();
            change(&mut all);
            plan(&all, force).map(|_| ()).unwrap_err().join("; ")
        };
        let read = |all: &mut Logging| {
            all.readers =
                vec![LogReader { who: "vector[9]".to_owned(), path: "/var/log/messages".to_owned(), open: true }];
        };
        assert!(against(&read, false).starts_with("vector[9] has /var/log/messages open"));
        let mut forced = logging();
        read(&mut forced);
        assert!(plan(&forced, true).is_ok());
        for force in [false, true] {
            assert!(against(&|all| all.journal.persistent = false, force).contains("does not outlive a reboot"));
            assert!(
                against(&|all| all.daemons[0].sends = vec!["@log".to_owned()], force)
                    .contains("sends messages to @log")
            );
            assert!(against(&|all| all.daemons[0].listens = vec!["imudp".to_owned()], force).contains("other hosts"));
        }
    }
}
