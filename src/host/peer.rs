//! Who is at the other end of a Unix socket, as the kernel knows it: user, group and supplementary groups at the time of `connect`.
//! It refuses to ask the peer, /proc or a name service: those lie, are late, or hang.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// A process at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group and all supplementary ones.
    pub groups: Vec<u32>,
}

/// More groups than the kernel lets a process have.
const MOST_GROUPS: usize = 65_536;

/// The peer of a connected Unix socket.
pub fn peer_of(socket: &impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(socket, PeerCredentials)?;
    let mut groups = vec![credentials.gid()];
    groups.extend(supplementary(socket)?);
    groups.sort_unstable();
    groups.dedup();
    Ok(Peer { uid: credentials.uid(), groups })
}

/// The effective user of this process.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[allow(unsafe_code)] // SO_PEERGROUPS (kernel 4.13) has no safe wrapper.
fn supplementary(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = vec![0; 32];
    loop {
        let mut bytes = libc::socklen_t::try_from(groups.len() * size_of::<u32>()).map_err(io::Error::other)?;
        // SAFETY: the buffer is `bytes` long and lives through the call; the kernel writes at most that and says how much.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let needed = usize::try_from(bytes).map_err(io::Error::other)? / size_of::<u32>();
        if outcome == 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        match io::Error::last_os_error() {
            // It says how much room it needs.
            error if error.raw_os_error() == Some(libc::ERANGE) && needed > groups.len() && needed <= MOST_GROUPS => {
                groups.resize(needed, 0);
            }
            // Before 4.13 supplementary groups are unknown, which refuses more, never less.
            error if error.raw_os_error() == Some(libc::ENOPROTOOPT) => return Ok(Vec::new()),
            error => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_this_process() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let peer = peer_of(&one).unwrap();
        assert_eq!(peer.uid, own_uid());
        let mut groups: Vec<u32> =
            nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        groups.push(nix::unistd::getegid().as_raw());
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(peer.groups, groups);
    }
}
