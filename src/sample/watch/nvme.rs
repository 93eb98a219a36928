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
    pub(super) fn absent(why: &str) -> Self {
        Self { stats: Reading::absent(why), smart: Reading::absent(why) }
    }

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
        None => (Mono(0), Pages::absent("not asked yet")),
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
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/data/ebs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn expected() -> serde_json::Value {
        serde_json::from_slice(&file("expected.json")).unwrap()
    }

    /// The page as the written layout names it.
    fn as_written(page: &EbsPage) -> serde_json::Value {
        let counts = |histogram: &Histogram| histogram.0.iter().map(|bin| bin.count).collect::<Vec<_>>();
        serde_json::json!({
            "total_read_ops": page.reads, "total_write_ops": page.writes,
            "total_read_bytes": page.read_bytes, "total_write_bytes": page.write_bytes,
            "total_read_time_us": page.read_us, "total_write_time_us": page.write_us,
            "volume_exceeded_iops_us": page.volume_iops_exceeded_us, "volume_exceeded_tp_us": page.volume_throughput_exceeded_us,
            "instance_exceeded_iops_us": page.instance_iops_exceeded_us, "instance_exceeded_tp_us": page.instance_throughput_exceeded_us,
            "queue_length": page.queue_length,
            "read_hist": counts(&page.read_histogram), "write_hist": counts(&page.write_histogram),
        })
    }

    #[test]
    fn pages_hold_what_was_written() {
        let expected = expected();
        for name in ["t0", "t1", "reset"] {
            let page = decode_stats(&file(&format!("ebs_stats_{name}.bin")), NvmeModel::Ebs).unwrap();
            assert_eq!(as_written(&page), expected[name], "{name}");
            let bounds: Vec<_> =
                page.read_histogram.0.iter().map(|bin| serde_json::json!([bin.lower_us, bin.upper_us])).collect();
            assert_eq!(serde_json::Value::from(bounds), expected["bounds"], "{name}");
        }
        for name in ["local_stats_v0.bin", "local_stats_v1.bin"] {
            let page = decode_stats(&file(name), NvmeModel::InstanceStore).unwrap();
            assert_eq!(as_written(&page), expected["t0"], "{name}");
            assert!(decode_stats(&file(name), NvmeModel::Ebs).is_err());
        }
    }

    /// Every field at the offset that the layout gives it: a page in which each byte tells its place.
    #[test]
    fn fields_lie_where_the_layout_says() {
        let offsets = expected()["offsets"].clone();
        let at = |name: &str| usize::try_from(offsets[name].as_u64().unwrap()).unwrap();
        let mut bytes = vec![0u8; at("end")];
        bytes[at("magic")..at("version")].copy_from_slice(&EBS_MAGIC.to_le_bytes());
        let fields = [
            "total_read_ops",
            "total_write_ops",
            "total_read_bytes",
            "total_write_bytes",
            "total_read_time",
            "total_write_time",
            "volume_exceeded_iops",
            "volume_exceeded_tp",
            "instance_exceeded_iops",
            "instance_exceeded_tp",
            "queue_length",
        ];
        for (value, name) in (1u64..).zip(fields) {
            bytes[at(name)..at(name) + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[at("read_hist")] = 1;
        bytes[at("write_hist")] = 2;
        let page = decode_stats(&bytes, NvmeModel::Ebs).unwrap();
        let seen = [
            page.reads,
            page.writes,
            page.read_bytes,
            page.write_bytes,
            page.read_us,
            page.write_us,
            page.volume_iops_exceeded_us,
            page.volume_throughput_exceeded_us,
            page.instance_iops_exceeded_us,
            page.instance_throughput_exceeded_us,
            page.queue_length,
        ];
        assert_eq!(seen.to_vec(), (1..=11).collect::<Vec<u64>>());
        assert_eq!((page.read_histogram.0.len(), page.write_histogram.0.len()), (1, 2));
        // The second histogram ends where what follows begins.
        assert_eq!(WRITE_HISTOGRAM + 8 + 64 * BIN_BYTES, at("num_of_hists"));
        assert_eq!(usize::from(STATS_BYTES), at("end"));
    }

    #[test]
    fn strange_pages_are_refused_or_cut() {
        let why = decode_stats(&file("ebs_stats_badmagic.bin"), NvmeModel::Ebs).unwrap_err();
        assert_eq!(why, "it starts with 0x12345678; expected 0x3C23B510");
        assert_eq!(
            decode_stats(&file("ebs_stats_short.bin"), NvmeModel::Ebs).unwrap_err(),
            "4095 bytes; expected 4096"
        );
        let page = decode_stats(&file("ebs_stats_bins_overflow.bin"), NvmeModel::Ebs).unwrap();
        assert_eq!((page.read_histogram.0.len(), page.write_histogram.0.len()), (64, 64));
        assert!(decode_stats(&[], NvmeModel::Ebs).is_err());
        assert!(decode_smart(&[0; 511]).is_err());
    }

    #[test]
    fn identities_become_volumes() {
        let expected = expected();
        for (name, model) in [
            ("id_ctrl_ebs", NvmeModel::Ebs),
            ("id_ctrl_ebs_hyphen", NvmeModel::Ebs),
            ("id_ctrl_local", NvmeModel::InstanceStore),
            ("id_ctrl_other", NvmeModel::Other),
        ] {
            let bytes = file(&format!("{name}.bin"));
            let words = |range: std::ops::Range<usize>| String::from_utf8(bytes[range].to_vec()).unwrap();
            assert_eq!(model_of(&words(24..64)), model, "{name}");
            if model == NvmeModel::Ebs {
                assert_eq!(volume_of(&words(4..24)), expected["ids"][name].as_str().unwrap(), "{name}");
            }
        }
    }

    #[test]
    fn smart_fields_lie_where_the_specification_says() {
        let mut bytes = [0u8; 512];
        bytes[..6].copy_from_slice(&[0x05, 0x2c, 0x01, 90, 10, 103]);
        bytes[160..168].copy_from_slice(&7u64.to_le_bytes());
        bytes[176..184].copy_from_slice(&9u64.to_le_bytes());
        let smart = decode_smart(&bytes).unwrap();
        assert_eq!((smart.critical_warning, smart.temperature_k), (5, 300));
        assert_eq!(
            (smart.available_spare_percent, smart.spare_threshold_percent, smart.percentage_used),
            (90, 10, 103)
        );
        assert_eq!((smart.media_errors, smart.error_log_entries), (7, 9));
    }

    #[test]
    fn a_recorded_controller_is_read_whole() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        };
        put("sys/class/nvme/nvme0/state", b"live\n");
        put("sys/class/nvme/nvme0/model", b"Amazon Elastic Block Store              \n");
        put("sys/class/nvme/nvme0/serial", b"vol0123456789abcdef0\n");
        put("sys/class/nvme/nvme0/nvme0c0n1/size", b"1\n");
        put("sys/class/nvme/nvme0/power/x", b"1\n");
        put("sys/class/nvme/nvme1/state", b"dead\n");
        put("sys/class/nvme/nvme1/model", b"Samsung SSD\n");
        put(".recorded/nvme/nvme0/d0.bin", &file("ebs_stats_t0.bin"));
        put(".recorded/nvme/nvme1/smart.bin", &[1; 512]);
        let host = Host::new(root.path()).unwrap();
        let mut all = controllers(&host, &Reading::absent("before"));
        let Reading::Fresh { value, .. } = &mut all else { panic!() };
        for one in value {
            let pages = ask(&host, &one.name);
            (one.pages_taken, one.ebs, one.smart) = (Mono(5), pages.stats, pages.smart);
        }
        // Read again, they keep what they know.
        let all = controllers(&host, &all);
        let all = all.value().unwrap();
        assert_eq!(
            (all[0].volume.as_str(), all[0].disks.clone()),
            ("vol-0123456789abcdef0", vec!["nvme0n1".to_owned()])
        );
        assert_eq!((all[0].state.as_str(), all[0].pages_taken), ("live", Mono(5)));
        assert_eq!(all[0].ebs.value().unwrap().writes, 5_000_000);
        assert!(matches!(all[0].smart, Reading::Absent { .. }) && matches!(all[1].ebs, Reading::Absent { .. }));
        assert_eq!(all[1].smart.value().unwrap().percentage_used, 1);
        assert!(!changed(&host, all) && changed(&host, &all[..1]));
    }
}
