//! Controllers, their pages and what of them is refused.

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
    assert_eq!(decode_stats(&file("ebs_stats_short.bin"), NvmeModel::Ebs).unwrap_err(), "4095 bytes; expected 4096");
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
    assert_eq!((smart.available_spare_percent, smart.spare_threshold_percent, smart.percentage_used), (90, 10, 103));
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
    let unasked =
        |one: &NvmeController| matches!((&one.ebs, &one.smart), (Reading::Failed { .. }, Reading::Failed { .. }));
    assert!(value.iter().all(unasked), "what nobody has asked for is not what is not there");
    for one in value {
        let pages = ask(&host, &one.name);
        (one.pages_taken, one.ebs, one.smart) = (Mono(5), pages.stats, pages.smart);
    }
    // Read again, they keep what they know.
    let all = controllers(&host, &all);
    let all = all.value().unwrap();
    assert_eq!((all[0].volume.as_str(), all[0].disks.clone()), ("vol-0123456789abcdef0", vec!["nvme0n1".to_owned()]));
    assert_eq!((all[0].state.as_str(), all[0].pages_taken), ("live", Mono(5)));
    assert_eq!(all[0].ebs.value().unwrap().writes, 5_000_000);
    assert!(matches!(all[0].smart, Reading::Absent { .. }) && matches!(all[1].ebs, Reading::Absent { .. }));
    assert_eq!(all[1].smart.value().unwrap().percentage_used, 1);
    assert!(!changed(&host, all) && changed(&host, &all[..1]));
}
