//! What the sysinfo crate says of cores and memory, for `check` to compare with. It is never the source of a fact: it takes no root.

use crate::host::Host;
use crate::model::{Bytes, Reading};

/// Cores and total memory by sysinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondOpinion {
    /// Number of CPUs that it lists.
    pub cores: usize,
    /// Total memory that it sums.
    pub memory: Bytes,
}

/// Asks sysinfo; refused for a root that is not `/`, since it would describe the wrong machine.
pub fn ask(host: &Host) -> Reading<SecondOpinion> {
    if !host.is_real() {
        return Reading::absent("sysinfo looks at the running machine only");
    }
    let specifics = sysinfo::RefreshKind::nothing()
        .with_cpu(sysinfo::CpuRefreshKind::nothing())
        .with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram());
    match sysinfo::System::new_with_specifics(specifics) {
        Ok(system) => Reading::fresh(
            SecondOpinion { cores: system.cpus().len(), memory: Bytes(system.total_memory()) },
            "sysinfo",
        ),
        Err(error) => Reading::failed(format!("sysinfo: {error:?}")),
    }
}
