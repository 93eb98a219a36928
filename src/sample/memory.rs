//! Memory: MemTotal (kubelet's capacity), swap, huge pages, and the installed size from the kernel's memory blocks.
//! It refuses to guess the size on the label from MemTotal, which is 1 to 7 % below it.

use std::path::Path;

use procfs::FromRead;

use super::text_file;
use crate::host::Host;
use crate::model::machine::HugePages;
use crate::model::{Bytes, Reading};

const MEMINFO: &str = "/proc/meminfo";
const BLOCKS: &str = "/sys/devices/system/memory";
const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages";

/// MemTotal and SwapTotal.
pub(super) fn total_and_swap(host: &Host) -> (Reading<Bytes>, Reading<Bytes>) {
    let info = text_file(host, MEMINFO, |text| {
        // procfs calls anything odd a bug of its own, with a backtrace: not for an operator's eyes.
        procfs::Meminfo::from_read(text.as_bytes())
            .map_err(|_| "not understood; expected lines such as MemTotal: 16384 kB".to_owned())
    });
    let total = info.clone().map(|info| Bytes(info.mem_total));
    let swap = info.map(|info| Bytes(info.swap_total));
    match total {
        Reading::Fresh { value: Bytes(0), .. } => (Reading::failed(format!("{MEMINFO}: MemTotal is 0")), swap),
        Reading::Fresh { value, .. } => (Reading::fresh(value, format!("{MEMINFO} MemTotal")), swap),
        other => (other, swap),
    }
}

/// Online memory blocks times their size. Reads one file a block: a large machine has thousands.
pub(super) fn installed(host: &Host) -> Reading<Bytes> {
    let size = text_file(host, &format!("{BLOCKS}/block_size_bytes"), |text| {
        u64::from_str_radix(text.trim_start_matches("0x"), 16)
            .map_err(|_| format!("{text:?} is not a hexadecimal number"))
    });
    let size = match size {
        Reading::Fresh { value, .. } => value,
        other => return other.map(Bytes),
    };
    let entries = match host.list(Path::new(BLOCKS)) {
        Ok(entries) => entries.unwrap_or_default(),
        Err(error) => return Reading::failed(error.to_string()),
    };
    let mut online_blocks = 0u64;
    for entry in &entries {
        let Some(number) = entry.name.strip_prefix("memory") else { continue };
        if number.parse::<u64>().is_err() {
            continue;
        }
        match host.read_text(Path::new(&format!("{BLOCKS}/{}/online", entry.name))) {
            Ok(Some(text)) => online_blocks += u64::from(text == "1"),
            Ok(None) => {}
            Err(error) => return Reading::failed(error.to_string()),
        }
    }
    match online_blocks {
        0 => Reading::absent(format!("{BLOCKS} has no online block")),
        count => Reading::fresh(Bytes(count.saturating_mul(size)), format!("{BLOCKS}: {count} online blocks")),
    }
}

/// Huge pages by size, as cadvisor counts them.
pub(super) fn huge_pages(host: &Host) -> Reading<Vec<HugePages>> {
    let entries = match host.list(Path::new(HUGE_PAGES)) {
        Ok(Some(entries)) => entries,
        Ok(None) => return Reading::absent(format!("there is no {HUGE_PAGES}")),
        Err(error) => return Reading::failed(error.to_string()),
    };
    let mut pages = Vec::new();
    for entry in entries {
        let Some(kib) =
            entry.name.strip_prefix("hugepages-").and_then(|rest| rest.strip_suffix("kB")?.parse::<u64>().ok())
        else {
            continue;
        };
        let path = format!("{HUGE_PAGES}/{}/nr_hugepages", entry.name);
        match text_file(host, &path, |text| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"))) {
            Reading::Fresh { value, .. } => {
                pages.push(HugePages { size_bytes: kib.saturating_mul(1024), count: value })
            }
            Reading::Absent { .. } => {}
            Reading::Failed { why } => return Reading::failed(why),
        }
    }
    Reading::fresh(pages, HUGE_PAGES)
}
