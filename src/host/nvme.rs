//! NVMe log pages by admin command on the controller's character device (base specification, Get Log Page; ioctl NVME_IOCTL_ADMIN_CMD).
//! It refuses to open the block device, which udev would probe again after a close, and to ask for more bytes than there is room for.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// Get Log Page.
const GET_LOG_PAGE: u8 = 0x02;
/// Amazon's statistics belong to a namespace; SMART is asked for all of them.
const ALL_NAMESPACES: u32 = 0xFFFF_FFFF;
/// A device that does not answer is given up by the kernel after so long; the probe's own deadline is shorter.
const TIMEOUT_MS: u32 = 20_000;

/// The SMART / health page.
pub const SMART_PAGE: u8 = 0x02;
/// Amazon's statistics page.
pub const STATS_PAGE: u8 = 0xD0;

/// `struct nvme_admin_cmd`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct AdminCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    address: u64,
    metadata_length: u32,
    data_length: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

#[allow(unsafe_code, missing_docs)]
mod call {
    nix::ioctl_readwrite!(admin_command, b'N', 0x41, super::AdminCommand);
}

/// What a page is called in a recording.
pub(super) fn page_name(id: u8) -> String {
    if id == SMART_PAGE { "smart".to_owned() } else { format!("{id:02x}") }
}

/// The number of double words of the page less one, in the high half, and the page in the low half.
fn log_page_word(id: u8, length: u16) -> u32 {
    (u32::from(length / 4).saturating_sub(1) << 16) | u32::from(id)
}

pub(super) fn log_page(host: &Host, controller: &str, id: u8, length: u16) -> HostResult<Option<Vec<u8>>> {
    let path = format!("/dev/{controller}");
    let failed = |reason| HostError { act: "ask", path: (&path).into(), reason };
    let device = match host.open(Path::new(&path), OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
        Ok(device) => device,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(failed(Reason::System(errno))),
    };
    ask(&device, id, length).map(Some).map_err(failed)
}

fn ask(device: &OwnedFd, id: u8, length: u16) -> Result<Vec<u8>, Reason> {
    let mut page = vec![0u8; usize::from(length)];
    let mut command = AdminCommand {
        opcode: GET_LOG_PAGE,
        nsid: if id == SMART_PAGE { ALL_NAMESPACES } else { 1 },
        address: page.as_mut_ptr().expose_provenance() as u64,
        data_length: u32::from(length),
        cdw10: log_page_word(id, length),
        timeout_ms: TIMEOUT_MS,
        ..AdminCommand::default()
    };
    // SAFETY: the command is the kernel's 72-byte structure; the kernel writes at most `data_length` bytes to `address`, which is the live
    // and exclusively held `page` of exactly that length, and nothing outlives the call.
    #[allow(unsafe_code)]
    let status = unsafe { call::admin_command(device.as_raw_fd(), &raw mut command) };
    match status {
        Ok(0) => Ok(page),
        Ok(status) => Err(Reason::Other(format!("the controller answered with NVMe status 0x{status:x}"))),
        Err(errno) => Err(Reason::System(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_the_kernels() {
        assert_eq!(size_of::<AdminCommand>(), 72);
        // _IOWR('N', 0x41, 72), and a length that is counted from 0.
        assert_eq!(nix::request_code_readwrite!(b'N', 0x41, size_of::<AdminCommand>()), 0xC048_4E41);
        assert_eq!(log_page_word(STATS_PAGE, 4096), 0x03FF_00D0);
        assert_eq!(log_page_word(SMART_PAGE, 512), 0x007F_0002);
    }
}
