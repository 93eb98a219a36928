//! What systemd says of units, over the system's D-Bus or, where there is none, over systemd's own socket. A bus or a manager may be slow or hang, so only a
//! probe child, or a recording, asks. It refuses to call anything that changes something: a few properties are read, and nothing else.
//!
//! Our own few messages and no library: a library costs half a megabyte of program and memory for what is two kinds of calls here, every minute.

mod wire;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::error::{HostError, HostResult, Reason};
use super::peer::own_uid;
use super::root::Host;
use wire::{Call, HEAD, Message, Value};

const BUS: &str = "/run/dbus/system_bus_socket";
/// systemd's own, for root alone; it is there before the bus, and when the bus is not.
const PRIVATE: &str = "/run/systemd/private";
const MANAGER: &str = "org.freedesktop.systemd1";
/// What is asked of a unit; a manager that is too old for one leaves it out.
const PROPERTIES: [(&str, &str); 7] = [
    ("org.freedesktop.systemd1.Unit", "ActiveState"),
    ("org.freedesktop.systemd1.Unit", "SubState"),
    ("org.freedesktop.systemd1.Service", "Result"),
    ("org.freedesktop.systemd1.Service", "NRestarts"),
    ("org.freedesktop.systemd1.Service", "ExecMainStartTimestampMonotonic"),
    ("org.freedesktop.systemd1.Service", "ExecMainCode"),
    ("org.freedesktop.systemd1.Service", "ExecMainStatus"),
];
/// A bus that takes connections and does not answer is left for systemd's own socket, before the probe's deadline comes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages of others before ours, at most.
const MOST_OTHERS: usize = 1000;

impl Host {
    /// Those of the units that systemd has loaded, as `systemctl show` writes them: `Name=value` a line, an empty line between units. Nothing where this
    /// machine has no systemd, or a recording does not say.
    pub fn units(&self, names: &[&str]) -> HostResult<Option<String>> {
        self.told("ask systemd of", Path::new("/units"), || {
            let failed = |path: &str, reason| HostError { act: "ask systemd of", path: path.into(), reason };
            let mut why = None;
            for (path, destination) in [(BUS, MANAGER), (PRIVATE, "")] {
                match Bus::open(&self.outside_path(Path::new(path)), destination) {
                    Ok(mut bus) => match bus.units(names) {
                        Ok(text) => return Ok(Some(text)),
                        Err(reason) => why = Some(failed(path, reason)),
                    },
                    Err(Reason::System(Errno::ENOENT)) => {}
                    Err(reason) => why = Some(failed(path, reason)),
                }
            }
            why.map_or(Ok(None), Err)
        })
    }
}

struct Bus {
    stream: UnixStream,
    destination: &'static str,
    serial: u32,
}

/// A call's outcome: a value, or the error's name.
type Answer = Result<Option<Value>, String>;

impl Bus {
    fn open(path: &Path, destination: &'static str) -> Result<Self, Reason> {
        let stream = UnixStream::connect(path).map_err(reason)?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(reason)?;
        let mut bus = Self { stream, destination, serial: 0 };
        // A user's number in decimal, each digit in hexadecimal.
        let user: String = own_uid().to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        bus.stream.write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes()).map_err(reason)?;
        let said = bus.line()?;
        if !said.starts_with("OK ") {
            return Err(Reason::Other(format!("not let in: {said:?}")));
        }
        bus.stream.write_all(b"BEGIN\r\n").map_err(reason)?;
        if !destination.is_empty() {
            let bus_itself = "org.freedesktop.DBus";
            let hello = Call {
                destination: bus_itself,
                path: "/org/freedesktop/DBus",
                interface: bus_itself,
                member: "Hello",
                arguments: &[],
            };
            bus.call(&hello)?.map_err(Reason::Other)?;
        }
        Ok(bus)
    }

    /// Bytes one by one: what follows the line is no longer text.
    fn line(&mut self) -> Result<String, Reason> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).map_err(reason)?;
            line.extend(byte);
            if line.len() > 1000 {
                return Err(Reason::Other("a line without an end".to_owned()));
            }
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    fn units(&mut self, names: &[&str]) -> Result<String, Reason> {
        let mut text = String::new();
        for name in names {
            let asked = Call {
                destination: self.destination,
                path: "/org/freedesktop/systemd1",
                interface: "org.freedesktop.systemd1.Manager",
                member: "GetUnit",
                arguments: &[name],
            };
            let path = match self.call(&asked)? {
                Ok(Some(Value::Text(path))) => path,
                Ok(_) => return Err(Reason::Other("GetUnit answered without a path".to_owned())),
                Err(name) if name.ends_with(".NoSuchUnit") => continue,
                Err(name) => return Err(Reason::Other(name)),
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("Id={name}\n"));
            for (interface, property) in PROPERTIES {
                match self.property(&path, interface, property)? {
                    Ok(Some(Value::Text(value))) => text.push_str(&format!("{property}={value}\n")),
                    Ok(Some(Value::Number(value))) => text.push_str(&format!("{property}={value}\n")),
                    Ok(None) => {}
                    Err(name) if name.ends_with(".UnknownProperty") || name.ends_with(".UnknownInterface") => {}
                    Err(name) => return Err(Reason::Other(name)),
                }
            }
        }
        Ok(text)
    }

    fn property(&mut self, path: &str, interface: &str, property: &str) -> Result<Answer, Reason> {
        let call = Call {
            destination: self.destination,
            path,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: &[interface, property],
        };
        self.call(&call)
    }

    fn call(&mut self, call: &Call<'_>) -> Result<Answer, Reason> {
        self.serial += 1;
        let bytes = call.bytes(self.serial).ok_or_else(|| Reason::Other("a call that is too long".to_owned()))?;
        self.stream.write_all(&bytes).map_err(reason)?;
        for _ in 0..MOST_OTHERS {
            match self.message()? {
                Message::Answer(serial, value) if serial == self.serial => return Ok(Ok(value)),
                Message::Error(serial, name) if serial == self.serial => return Ok(Err(name)),
                _ => {}
            }
        }
        Err(Reason::Other(format!("no answer among {MOST_OTHERS} messages")))
    }

    fn message(&mut self) -> Result<Message, Reason> {
        let bad = || Reason::Other("an answer that is no D-Bus message".to_owned());
        let mut bytes = vec![0; HEAD];
        self.stream.read_exact(&mut bytes).map_err(reason)?;
        bytes.resize(wire::length(&bytes).ok_or_else(bad)?, 0);
        let rest = bytes.get_mut(HEAD..).ok_or_else(bad)?;
        self.stream.read_exact(rest).map_err(reason)?;
        wire::parse(&bytes).ok_or_else(bad)
    }
}

fn reason(error: std::io::Error) -> Reason {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => Reason::Other(format!("no answer within {} s", PATIENCE.as_secs())),
        Some(errno) => Reason::System(errno),
        None => Reason::Other(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Plays the manager, and makes the notes that are read.
mod tests {
    use super::*;

    /// What a manager sends back: `kind` 2 is an answer, 3 an error.
    fn reply(kind: u8, serial: u32, signature: &str, text: &str) -> Vec<u8> {
        let word = |number: usize| u32::try_from(number).unwrap().to_ne_bytes();
        let quoted = |text: &str| [&word(text.len())[..], text.as_bytes(), b"\0"].concat();
        let mut fields = [&[5, 1, b'u', 0][..], &serial.to_ne_bytes()].concat();
        let mut body = Vec::new();
        if kind == 3 {
            fields.extend([4, 1, b's', 0]);
            fields.extend(quoted(text));
        } else {
            fields.extend([8, 1, b'g', 0, 1]);
            fields.extend(signature.as_bytes());
            fields.push(0);
            match signature {
                "v" if text.parse::<u32>().is_ok() => {
                    body.extend([&b"\x01u\0\0"[..], &text.parse::<u32>().unwrap().to_ne_bytes()].concat())
                }
                "v" => body.extend([&b"\x01s\0\0"[..], &quoted(text)].concat()),
                _ => body.extend(quoted(text)),
            }
        }
        let order = if cfg!(target_endian = "little") { b'l' } else { b'B' };
        let mut all = [&[order, kind, 1, 1][..], &word(body.len()), &7u32.to_ne_bytes(), &word(fields.len())].concat();
        all.extend(fields);
        all.resize(all.len().next_multiple_of(8), 0);
        all.extend(body);
        all
    }

    /// Lets anybody in, and answers by what the call's bytes name.
    fn manager(mut stream: UnixStream, answers: &[(&str, u8, &str, &str)]) {
        let mut greeting = [0; 200];
        let count = stream.read(&mut greeting).unwrap();
        assert!(greeting[..count].starts_with(b"\0AUTH EXTERNAL ") && greeting[..count].ends_with(b"\r\n"));
        stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").unwrap();
        let mut begin = [0; 7];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"BEGIN\r\n");
        let mut serial = 0;
        loop {
            let mut bytes = vec![0; HEAD];
            if stream.read_exact(&mut bytes).is_err() {
                return;
            }
            bytes.resize(wire::length(&bytes).unwrap(), 0);
            stream.read_exact(&mut bytes[HEAD..]).unwrap();
            serial += 1;
            let said = String::from_utf8_lossy(&bytes).into_owned();
            let (_, kind, signature, text) =
                answers.iter().find(|(part, ..)| said.contains(part)).unwrap_or_else(|| panic!("{said:?}"));
            // A signal before it, which is nobody's answer.
            stream.write_all(&reply(4, 1, "s", "NameAcquired")).unwrap();
            stream.write_all(&reply(*kind, serial, signature, text)).unwrap();
        }
    }

    fn ask(answers: &'static [(&'static str, u8, &'static str, &'static str)]) -> Result<String, Reason> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("private");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let served = std::thread::spawn(move || manager(listener.accept().unwrap().0, answers));
        let text = Bus::open(&path, "").unwrap().units(&["kubelet.service", "none.service"]);
        served.join().unwrap();
        text
    }

    #[test]
    fn loaded_units_are_told_and_what_a_manager_does_not_know_is_left_out() {
        let text = ask(&[
            ("none.service", 3, "", "org.freedesktop.systemd1.NoSuchUnit"),
            ("GetUnit", 2, "o", "/org/freedesktop/systemd1/unit/kubelet_2eservice"),
            ("ActiveState", 2, "v", "failed"),
            ("SubState", 2, "v", "failed"),
            ("Result", 2, "v", "start-limit-hit"),
            ("NRestarts", 3, "", "org.freedesktop.DBus.Error.UnknownProperty"),
            ("ExecMain", 2, "v", "12"),
        ]);
        assert_eq!(
            text.unwrap(),
            "Id=kubelet.service\nActiveState=failed\nSubState=failed\nResult=start-limit-hit\nExecMainStartTimestampMonotonic=12\nExecMainCode=12\nExecMainStatus=12\n"
        );
        let refused = ask(&[("GetUnit", 3, "", "org.freedesktop.DBus.Error.AccessDenied")]).unwrap_err();
        assert_eq!(refused.to_string(), "org.freedesktop.DBus.Error.AccessDenied");
    }

    #[test]
    fn a_recording_has_its_note_and_no_bus_is_none() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        assert_eq!(host.units(&["kubelet.service"]).unwrap(), None);
        std::fs::create_dir_all(root.path().join(".recorded/told")).unwrap();
        std::fs::write(root.path().join(".recorded/told/units"), "Id=kubelet.service\nActiveState=active\n").unwrap();
        assert_eq!(host.units(&["x"]).unwrap().unwrap(), "Id=kubelet.service\nActiveState=active");
    }
}
