//! NVMe controllers: what sysfs says from memory, and log pages decoded. It refuses a page of another kind than the controller's, or a short one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::raw::word;
use crate::host::{Host, SMART_PAGE, STATS_PAGE};
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{Bin, EbsPage, Histogram, NvmeController, NvmeModel, Smart};

const ROOT: &str = "/sys/class/nvme";
const EBS_MAGIC: u32 = 0x3C23_B510;
const INSTANCE_STORE_MAGIC: u32 = 0xEC2C_0D7E;
const STATS_BYTES: u16 = 4096;
const SMART_BYTES: u16 = 512;
const READ_HISTOGRAM: usize = 512;
const WRITE_HISTOGRAM: usize = 2056;
const MOST_BINS: u64 = 64;
const BIN_BYTES: usize = 24;

/// Log pages of one controller, as a probe brought them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pages {
    /// Page 0xD0.
    pub stats: Reading<EbsPage>,
    /// Page 0x02.
    pub smart: Reading<Smart>,
}

impl Pages {
    pub(super) fn failed(why: &str) -> Self {
        Self { stats: Reading::failed(why), smart: Reading::failed(why) }
    }
}

/// The controllers by sysfs; one that was there before, and is the same, keeps its pages.
pub(super) fn controllers(host: &Host, before: &Reading<Vec<NvmeController>>) -> Reading<Vec<NvmeController>> {
    let before = before.value().map_or(&[][..], Vec::as_slice);
    let entries = match host.list(Path::new(ROOT)) {
        Ok(Some(entries)) if !entries.is_empty() => entries,
        Ok(_) => return Reading::absent("this machine has no NVMe controller"),
        Err(error) => return Reading::failed(error.to_string()),
    };
    let all = entries.into_iter().map(|entry| controller(host, entry.name, before));
    Reading::fresh(all.collect(), ROOT)
}

fn controller(host: &Host, name: String, before: &[NvmeController]) -> NvmeController {
    let file = |file: &str| word(host, &format!("{ROOT}/{name}/{file}")).unwrap_or_default();
    let model_name = file("model");
    let model = model_of(&model_name);
    let volume = if model == NvmeModel::Ebs { volume_of(&file("serial")) } else { String::new() };
    let same = |one: &&NvmeController| one.name == name && one.model_name == model_name && one.volume == volume;
    let (pages_taken, pages) = match before.iter().find(same) {
        Some(one) => (one.pages_taken, Pages { stats: one.ebs.clone(), smart: one.smart.clone() }),
        // Not absent: what an earlier run of this boot has found there is not over before somebody has looked again.
        None => (Mono(0), Pages::failed("no probe has answered yet")),
    };
    NvmeController {
        state: file("state"),
        disks: disks(host, &name),
        name,
        model_name,
        model,
        volume,
        pages_taken,
        ebs: pages.stats,
        smart: pages.smart,
    }
}

/// Reads only the state again: what else is known of a controller does not change while it is there.
pub(super) fn state(host: &Host, controller: &mut NvmeController) {
    controller.state = word(host, &format!("{ROOT}/{}/state", controller.name)).unwrap_or_default();
}

/// Whether the listing has other controllers than the sample.
pub(super) fn changed(host: &Host, known: &[NvmeController]) -> bool {
    let names = host.list(Path::new(ROOT)).ok().flatten().unwrap_or_default();
    names.len() != known.len() || names.iter().zip(known).any(|(entry, one)| entry.name != one.name)
}

/// `nvme0n1`, or one path to it: `nvme0c1n1`.
fn disks(host: &Host, controller: &str) -> Vec<String> {
    let entries = host.list(Path::new(&format!("{ROOT}/{controller}"))).ok().flatten().unwrap_or_default();
    let disk = |name: &str| {
        let rest = name.strip_prefix("nvme")?;
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let subsystem = &rest[..rest.len() - digits.len()];
        let digits = match digits.strip_prefix('c') {
            Some(path) => path.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => digits,
        };
        let namespace: u32 = digits.strip_prefix('n')?.parse().ok()?;
        Some(format!("nvme{subsystem}n{namespace}"))
    };
    entries.iter().filter_map(|entry| disk(&entry.name)).collect()
}

pub(super) fn model_of(name: &str) -> NvmeModel {
    match name.trim() {
        "Amazon Elastic Block Store" => NvmeModel::Ebs,
        "Amazon EC2 NVMe Instance Storage" => NvmeModel::InstanceStore,
        _ => NvmeModel::Other,
    }
}

/// The serial number is the volume's id, mostly without its dash.
fn volume_of(serial: &str) -> String {
    match serial.trim().strip_prefix("vol") {
        Some(rest) => format!("vol-{}", rest.trim_start_matches('-')),
        None => serial.trim().to_owned(),
    }
}

/// Asks a controller. This may wait for the device: only a probe child, or a recording, does it.
pub(super) fn ask(host: &Host, controller: &str) -> Pages {
    let model = model_of(&word(host, &format!("{ROOT}/{controller}/model")).unwrap_or_default());
    let stats = match model {
        NvmeModel::Other => Reading::absent("no Amazon device: it has no page 0xD0"),
        model => page(host, controller, STATS_PAGE, STATS_BYTES, |bytes| decode_stats(bytes, model)),
    };
    let smart = match model {
        // All zeros there: nothing to see, and no command to spend on it.
        NvmeModel::Ebs => Reading::absent("an EBS volume has no health page worth reading"),
        _ => page(host, controller, SMART_PAGE, SMART_BYTES, decode_smart),
    };
    Pages { stats, smart }
}

fn page<T>(
    host: &Host,
    controller: &str,
    id: u8,
    bytes: u16,
    decode: impl Fn(&[u8]) -> Result<T, String>,
) -> Reading<T> {
    match host.nvme_page(controller, id, bytes) {
        Ok(Some(page)) => match decode(&page) {
            Ok(value) => Reading::fresh(value, format!("log page 0x{id:02X} of {controller}")),
            Err(why) => Reading::failed(format!("log page 0x{id:02X} of {controller}: {why}")),
        },
        Ok(None) => Reading::absent(format!("there is no /dev/{controller}")),
        Err(error) => Reading::failed(error.to_string()),
    }
}

/// Little-endian numbers at fixed places; what is past the end is zero, lengths are checked first.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    fn histogram(&self, at: usize) -> Histogram {
        // A number of bins past the room for them is a fault of the device: the room is what there is.
        let bins = usize::try_from(self.u64(at).min(MOST_BINS)).unwrap_or(0);
        let bin = |index: usize| {
            let at = at + 8 + index * BIN_BYTES;
            Bin { lower_us: self.u64(at), upper_us: self.u64(at + 8), count: u64::from(self.u32(at + 16)) }
        };
        Histogram((0..bins).map(bin).collect())
    }
}

fn long_enough(bytes: &[u8], least: u16) -> Result<Bytes<'_>, String> {
    if bytes.len() < usize::from(least) {
        return Err(format!("{} bytes; expected {least}", bytes.len()));
    }
    Ok(Bytes(bytes))
}

/// Amazon's page 0xD0.
pub(super) fn decode_stats(bytes: &[u8], model: NvmeModel) -> Result<EbsPage, String> {
    let page = long_enough(bytes, STATS_BYTES)?;
    let expected = if model == NvmeModel::InstanceStore { INSTANCE_STORE_MAGIC } else { EBS_MAGIC };
    let magic = page.u32(0);
    if magic != expected {
        return Err(format!("it starts with 0x{magic:08X}; expected 0x{expected:08X}"));
    }
    Ok(EbsPage {
        reads: page.u64(8),
        writes: page.u64(16),
        read_bytes: page.u64(24),
        write_bytes: page.u64(32),
        read_us: page.u64(40),
        write_us: page.u64(48),
        volume_iops_exceeded_us: page.u64(56),
        volume_throughput_exceeded_us: page.u64(64),
        instance_iops_exceeded_us: page.u64(72),
        instance_throughput_exceeded_us: page.u64(80),
        queue_length: page.u64(88),
        read_histogram: page.histogram(READ_HISTOGRAM),
        write_histogram: page.histogram(WRITE_HISTOGRAM),
    })
}

/// SMART / health information.
pub(super) fn decode_smart(bytes: &[u8]) -> Result<Smart, String> {
    let page = long_enough(bytes, SMART_BYTES)?;
    let [critical_warning, _, _, available_spare_percent, spare_threshold_percent, percentage_used] = page.array(0);
    Ok(Smart {
        critical_warning,
        temperature_k: page.u16(1),
        available_spare_percent,
        spare_threshold_percent,
        percentage_used,
        media_errors: page.u64(160),
        error_log_entries: page.u64(176),
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Reads the project's own pages, and makes the recording that is read.
mod tests;
