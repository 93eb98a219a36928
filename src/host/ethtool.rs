//! What a network driver counts for itself (ioctl SIOCETHTOOL with ETHTOOL_GSSET_INFO, GSTRINGS and GSTATS of linux/ethtool.h). The kernel takes a lock
//! that others may hold for long, so only a probe child, or a recording, asks. It refuses every command that sets something.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GSSET_INFO: u32 = 0x37;
/// ETH_SS_STATS.
const STATISTICS: u32 = 1;
/// ETH_GSTRING_LEN.
const NAME_BYTES: usize = 32;
/// More than any driver has.
const MOST: usize = 65_536;
/// The kernel writes as many as there are when it is asked, whatever the caller has room for; a queue may have come since they were counted.
const SLACK: usize = 4096;

impl Host {
    /// An interface's own counters as `ethtool -S` writes them, a `name: value` a line; nothing where it has none, is gone, or a recording does not say.
    pub fn interface_counters(&self, interface: &str) -> HostResult<Option<String>> {
        let note = PathBuf::from("/ethtool").join(interface);
        self.told("ask the driver of", &note, || {
            let failed =
                |errno| HostError { act: "ask the driver of", path: interface.into(), reason: Reason::System(errno) };
            match counters(interface) {
                Ok(text) => Ok(Some(text)),
                Err(Errno::EOPNOTSUPP | Errno::ENODEV) => Ok(None),
                Err(errno) => Err(failed(errno)),
            }
        })
    }
}

/// `struct ifreq`.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut libc::c_void,
    /// The kernel's union is larger than a pointer, and it copies all of it.
    rest: [u8; 16],
}

fn counters(interface: &str) -> Result<String, Errno> {
    // Any socket will do: the request goes to the network's core.
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut info = command(&[GSSET_INFO, 0, 1 << STATISTICS, 0, 0]);
    ask(&socket, interface, &mut info)?;
    let count = count(&info).ok_or(Errno::EOPNOTSUPP)?;
    if count > MOST {
        return Err(Errno::E2BIG);
    }
    let wanted = u32::try_from(count).map_err(|_| Errno::E2BIG)?;
    let mut names = command(&[GSTRINGS, STATISTICS, wanted]);
    names.resize(names.len() + (count + SLACK) * NAME_BYTES, 0);
    ask(&socket, interface, &mut names)?;
    let mut values = command(&[GSTATS, wanted]);
    values.resize(values.len() + (count + SLACK) * size_of::<u64>(), 0);
    ask(&socket, interface, &mut values)?;
    parse(&names, &values).ok_or(Errno::EAGAIN)
}

fn command(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn ask(socket: &OwnedFd, interface: &str, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut request = Request { name: [0; libc::IFNAMSIZ], data: buffer.as_mut_ptr().cast(), rest: [0; 16] };
    let room = request.name.get_mut(..interface.len()).filter(|name| name.len() < libc::IFNAMSIZ);
    room.ok_or(Errno::ENODEV)?.copy_from_slice(interface.as_bytes());
    // SAFETY: the request is the kernel's structure and lives through the call, as does the exclusively held buffer; the commands here write no more than
    // the head and as many entries as the driver has, for which there is room and SLACK besides.
    #[allow(unsafe_code)]
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    Errno::result(outcome).map(drop)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// How many statistics there are: the set's bit is taken back where the driver has none.
fn count(info: &[u8]) -> Option<usize> {
    let has = word(info, 8)? & (1 << STATISTICS) != 0;
    usize::try_from(word(info, 16)?).ok().filter(|count| has && *count > 0)
}

/// Both answers as text; nothing where they do not fit together, because the driver was changed in between.
fn parse(names: &[u8], values: &[u8]) -> Option<String> {
    let count = usize::try_from(word(names, 8)?).ok()?;
    if count != usize::try_from(word(values, 4)?).ok()? {
        return None;
    }
    let mut text = String::new();
    for index in 0..count {
        let name = names.get(12 + index * NAME_BYTES..)?.get(..NAME_BYTES)?;
        let value = u64::from_ne_bytes(*values.get(8 + index * size_of::<u64>()..)?.first_chunk()?);
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
        let name = String::from_utf8_lossy(name.get(..end)?).replace('\n', " ");
        text.push_str(&format!("{}: {value}\n", name.trim()));
    }
    Some(text)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the notes that are read.
mod tests {
    use std::path::Path;

    use super::*;

    fn answers(all: &[(&str, u64)]) -> (Vec<u8>, Vec<u8>) {
        let count = u32::try_from(all.len()).unwrap();
        let (mut names, mut values) = (command(&[GSTRINGS, STATISTICS, count]), command(&[GSTATS, count]));
        for (name, value) in all {
            let mut field = [0u8; NAME_BYTES];
            field[..name.len()].copy_from_slice(name.as_bytes());
            names.extend(field);
            values.extend(value.to_ne_bytes());
        }
        (names, values)
    }

    #[test]
    fn answers_are_put_together_and_short_ones_refused() {
        let long = "a_name_that_fills_all_of_its_room";
        let (names, values) = answers(&[("bw_in_allowance_exceeded", 7), (&long[..32], u64::MAX)]);
        let text = parse(&names, &values).unwrap();
        assert_eq!(text, format!("bw_in_allowance_exceeded: 7\n{}: {}\n", &long[..32], u64::MAX));
        for end in 0..names.len() {
            assert_eq!(parse(&names[..end], &values), None, "{end}");
        }
        for end in 0..values.len() {
            assert_eq!(parse(&names, &values[..end]), None, "{end}");
        }
        assert_eq!(parse(&names, &answers(&[("a", 1)]).1), None, "one queue less by then");
        assert_eq!(count(&command(&[GSSET_INFO, 0, 0, 0, 9])), None, "the driver has none");
        assert_eq!(count(&command(&[GSSET_INFO, 0, 2, 0, 9])), Some(9));
        assert_eq!((size_of::<Request>(), libc::SIOCETHTOOL), (40, 0x8946));
    }

    /// RTM_NEWLINK for a pair of virtual interfaces, whose driver has statistics (linux/rtnetlink.h, if_link.h).
    fn make_veth(name: &str) -> Result<(), Errno> {
        let attribute = |kind: u16, data: &[u8]| {
            let mut bytes = Vec::new();
            bytes.extend((u16::try_from(data.len()).unwrap() + 4).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let kind = attribute(1, b"veth");
        let mut body = vec![0u8; 16];
        body.extend(attribute(3, &[name.as_bytes(), b"\0"].concat()));
        body.extend(attribute(18, &kind));
        let mut message = command(&[u32::try_from(16 + body.len()).unwrap()]);
        // NLM_F_REQUEST, ACK, EXCL, CREATE.
        message.extend(16u16.to_ne_bytes());
        message.extend(0x0605u16.to_ne_bytes());
        message.extend(command(&[1, 0]));
        message.extend(body);
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        nix::unistd::write(&socket, &message)?;
        let mut answer = [0u8; 1024];
        nix::unistd::read(&socket, &mut answer)?;
        match i32::from_ne_bytes(*answer[16..].first_chunk().unwrap()) {
            0 => Ok(()),
            error => Err(Errno::from_raw(-error)),
        }
    }

    /// Real statistics of a real driver, in a network namespace that goes with its thread.
    #[test]
    fn a_real_driver_is_asked() {
        let asked = std::thread::spawn(|| {
            // SAFETY: no pointers; only this thread enters the namespace.
            #[allow(unsafe_code)]
            let outcome = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            Errno::result(outcome)?;
            make_veth("steward0")?;
            let host = Host::new(Path::new("/")).unwrap();
            let none = ["lo", "none", "a-name-that-is-too-long"].map(|name| host.interface_counters(name).unwrap());
            assert_eq!(none, [None, None, None]);
            Ok::<_, Errno>(host.interface_counters("steward0").unwrap().expect("veth has statistics"))
        });
        match asked.join().unwrap() {
            Ok(text) => {
                let peer = text.lines().find_map(|line| line.strip_prefix("peer_ifindex: ")).expect("of the other end");
                assert!(peer.parse::<u64>().unwrap() > 0, "{text}");
            }
            Err(errno @ (Errno::EPERM | Errno::EOPNOTSUPP | Errno::EINVAL)) => {
                println!("not run: needs root and virtual interfaces: {errno}");
                assert!(!nix::unistd::geteuid().is_root() || errno != Errno::EPERM, "root may not: {errno}");
            }
            Err(errno) => panic!("{errno}"),
        }
    }

    #[test]
    fn a_recording_has_its_notes() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        assert_eq!(host.interface_counters("ens5").unwrap(), None);
        std::fs::create_dir_all(root.path().join(".recorded/told/ethtool")).unwrap();
        std::fs::write(root.path().join(".recorded/told/ethtool/ens5"), "     pps_allowance_exceeded: 3\n").unwrap();
        assert_eq!(host.interface_counters("ens5").unwrap().unwrap(), "pps_allowance_exceeded: 3");
    }
}
