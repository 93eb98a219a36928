//! Asking a disk itself: one block past every cache, so that a disk that answers nothing cannot hide behind what memory still knows.
//! It refuses to write, to keep what was read, and to call an error of the device a finding: the kernel's log tells those.

use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd;

use super::root::Host;
use crate::model::watch::Dev;

/// As much as the largest logical block, and aligned as O_DIRECT asks for (open(2)).
#[repr(align(4096))]
struct Block([u8; 4096]);

impl Host {
    /// Reads the first block of the disk behind a file system and forgets it; returns when the disk has answered, whatever it said.
    /// Nothing is read where the number is no disk's (btrfs, network), the device may not be opened, or the machine is a recording.
    pub fn wait_for_disk(&self, dev: Dev) {
        if !self.is_real() || dev.major == 0 {
            return;
        }
        let Ok(Some(facts)) = self.read_text(Path::new(&format!("/sys/dev/block/{dev}/uevent"))) else { return };
        let Some(name) = facts.lines().find_map(|line| line.strip_prefix("DEVNAME=")) else { return };
        // Read-only: closing a device that was open for writing makes udev probe it again.
        let Ok(disk) = self.open(&Path::new("/dev").join(name), OFlag::O_RDONLY | OFlag::O_DIRECT) else { return };
        let mut block = Block([0; 4096]);
        let _ = unistd::read(disk, &mut block.0);
    }
}
