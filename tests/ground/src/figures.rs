//! What this process costs, as the kernel counts it, and the lock in the two steps that the daemon will use.
//! It refuses to estimate: a figure that the kernel does not give is an error.
use anyhow::{Context, Result};
use nix::sys::mman::{MlockAllFlags, mlockall};
use serde_json::{Value, json};

/// MCL_ONFAULT of linux/mman.h, which nix does not name.
const ON_FAULT: MlockAllFlags = MlockAllFlags::from_bits_retain(4);

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("the kernel gives no {name}"))?.trim().trim_end_matches(" kB").parse()?)
}

/// In KiB, as /proc has them.
pub fn now() -> Result<Value> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(json!({
        "rss": field(&rollup, "Rss")?, "pss": field(&rollup, "Pss")?, "anon": field(&rollup, "Pss_Anon")?,
        "peak": field(&status, "VmHWM")?, "locked": field(&status, "VmLck")?, "threads": field(&status, "Threads")?,
    }))
}

/// What is mapped now comes into memory and stays; what is mapped later stays once it was touched. The other way round, or
/// with MCL_FUTURE alone, each new thread's stack would count whole.
pub fn lock() -> Result<Value> {
    mlockall(MlockAllFlags::MCL_CURRENT).context("mlockall(MCL_CURRENT)")?;
    mlockall(MlockAllFlags::MCL_FUTURE | ON_FAULT).context("mlockall(MCL_FUTURE|MCL_ONFAULT)")?;
    now()
}
