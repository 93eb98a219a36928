//! The daemon's own place under /run: its socket, and files that are set aside. It refuses to take a socket away from somebody who answers on it.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{self, AtFlags};
use nix::sys::stat::{self, FchmodatFlags, Mode};
use nix::unistd::{self, Gid};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

impl Host {
    /// Moves a file out of the way, beside itself, over what was set aside before; gives the new name.
    pub fn set_aside(&self, path: &Path) -> HostResult<PathBuf> {
        let failed = |errno| HostError { act: "set aside", path: path.to_owned(), reason: Reason::System(errno) };
        let (dir, name) = self.open_parent(path, "set aside")?;
        let mut aside = name.clone();
        aside.push(".unreadable");
        fcntl::renameat(&dir, name.as_os_str(), &dir, aside.as_os_str()).map_err(failed)?;
        Ok(path.with_file_name(aside))
    }

    /// A listening socket at `path`, for its owner and `group`. One that nobody answers on is replaced.
    pub fn listen(&self, path: &Path, group: Option<u32>) -> HostResult<UnixListener> {
        let failed = |reason| HostError { act: "listen on", path: path.to_owned(), reason };
        let io = |error: io::Error| failed(Reason::Other(error.to_string()));
        let (dir, name) = self.open_parent(path, "listen on")?;
        let outside = self.outside_path(path);
        // Between bind and chmod nobody else gets in.
        let old_mask = stat::umask(Mode::from_bits_truncate(0o177));
        let mut bound = UnixListener::bind(&outside);
        if bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            bound = match UnixStream::connect(&outside) {
                Ok(_) => Err(io::Error::other("somebody answers there: another node-steward?")),
                Err(_) => unistd::unlinkat(&dir, name.as_os_str(), unistd::UnlinkatFlags::NoRemoveDir)
                    .map_err(io::Error::from)
                    .and_then(|()| UnixListener::bind(&outside)),
            };
        }
        stat::umask(old_mask);
        let listener = bound.map_err(io)?;
        let system = |errno| failed(Reason::System(errno));
        if let Some(group) = group {
            unistd::fchownat(&dir, name.as_os_str(), None, Some(Gid::from_raw(group)), AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(system)?;
        }
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        stat::fchmodat(&dir, name.as_os_str(), Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)
            .map_err(system)?;
        listener.set_nonblocking(true).map_err(io)?;
        Ok(listener)
    }

    /// Where this user's runs keep what lives until the next boot; none where there is no such place.
    pub fn runtime_directory(&self, given: Option<&Path>) -> Option<PathBuf> {
        if let Some(given) = given {
            return Some(given.to_owned());
        }
        let user = unistd::geteuid();
        if user.is_root() || !self.is_real() {
            return Some(PathBuf::from("/run/node-steward"));
        }
        let own = PathBuf::from(format!("/run/user/{user}"));
        self.exists(&own).then(|| own.join("node-steward"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_nobody_answers_on_is_replaced_and_one_in_use_is_not() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        let path = Path::new("/run/api.sock");
        let first = host.listen(path, None).unwrap();
        assert!(host.listen(path, None).unwrap_err().to_string().contains("somebody answers"));
        drop(first);
        host.listen(path, None).unwrap();
    }
}
