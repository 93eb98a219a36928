//! Pages in a row: baselines, resets, enter and clear.

use std::collections::BTreeSet;

use super::super::made;
use super::*;
use crate::model::watch::{EbsPage, Samples};

/// A run of minutes: in each, so many seconds over the volume's IOPS.
struct Run {
    memory: <Ebs as Detector>::Memory,
    page: EbsPage,
    at: u64,
    saturated: bool,
    model: NvmeModel,
}

impl Run {
    fn new(model: NvmeModel) -> Self {
        let page = EbsPage { volume_iops_exceeded_us: 9_000_000_000, reads: 1_000_000, ..EbsPage::default() };
        Self { memory: BTreeMap::new(), page, at: 1000, saturated: false, model }
    }

    fn look(&mut self) -> Look {
        let samples = Samples {
            nvme: made::fresh(self.at, vec![made::controller(self.at, self.model, self.page.clone())]),
            ..Samples::default()
        };
        let active = BTreeSet::from([(DISK_SATURATED, "nvme1n1".to_owned())]);
        made::look::<Ebs>(
            &mut self.memory,
            self.at,
            &samples,
            if self.saturated { &active } else { const { &BTreeSet::new() } },
        )
    }

    fn minute(&mut self, seconds_over: u64) -> Vec<String> {
        // Six pages a minute: only whole windows are judged.
        for part in 1..=6 {
            self.at += 10;
            self.page.reads += 30_000;
            self.page.read_bytes += 30_000 * 16_384;
            if part == 6 {
                self.page.volume_iops_exceeded_us += seconds_over * 1_000_000;
                self.page.instance_throughput_exceeded_us += seconds_over * 1_000_000;
            }
            if part < 6 {
                self.look();
            }
        }
        made::shown(&self.look())
            .into_iter()
            .filter(|line| line.contains("Iops") || self.model != NvmeModel::Ebs)
            .collect()
    }
}

const ADVICE: &str = "EbsVolumeIopsExceeded nvme1n1 advice";
const WARNING: &str = "EbsVolumeIopsExceeded nvme1n1 warning";
const NONE: [&str; 0] = [];

#[test]
fn heavy_minutes_warn_step_down_and_end() {
    let mut run = Run::new(NvmeModel::Ebs);
    assert_eq!(made::shown(&run.look()), NONE, "the first page is a baseline");
    assert_eq!(run.minute(45), NONE);
    assert_eq!(run.minute(3), NONE);
    assert_eq!(run.minute(45), NONE);
    assert_eq!(run.minute(45), [WARNING]);
    run.saturated = true;
    assert_eq!(run.minute(45), ["EbsVolumeIopsExceeded nvme1n1 critical"]);
    run.saturated = false;
    let shown: Vec<_> = (0..5).map(|_| run.minute(20)).collect();
    assert_eq!(shown, [[WARNING], [WARNING], [WARNING], [WARNING], [ADVICE]]);
    let shown: Vec<_> = (0..5).map(|_| run.minute(2).len()).collect();
    assert_eq!(shown, [1, 1, 1, 1, 0]);
}

#[test]
fn light_minutes_in_a_row_are_advice() {
    let mut run = Run::new(NvmeModel::Ebs);
    run.look();
    let shown: Vec<_> = [8, 8, 8, 4, 8, 8, 8, 8, 8].map(|seconds| run.minute(seconds).len()).into();
    assert_eq!(shown, [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let look = run.look();
    let finding = &look.findings[0];
    assert_eq!(
        finding.summary,
        "nvme1n1 (vol-0abc): more IOPS than the volume has was asked for during 13 % of the last 60 s"
    );
    assert!(
        finding.advice.ends_with("The limit is near 3000 IOPS, the most that was done while it was exceeded."),
        "{}",
        finding.advice
    );
    let told: Vec<_> = finding.evidence.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"IOPS while over the limit 3000.0 IOPS".to_owned()), "{told:?}");
}

#[test]
fn a_reset_is_no_delta() {
    let mut run = Run::new(NvmeModel::Ebs);
    run.look();
    for _ in 0..6 {
        assert_eq!(run.minute(0), NONE);
        // Attached again: all counters start anew.
        run.page = EbsPage::default();
        assert_eq!(made::shown(&run.look()), NONE);
    }
}

#[test]
fn an_instance_store_has_its_own_names() {
    let mut run = Run::new(NvmeModel::InstanceStore);
    run.look();
    run.minute(60);
    run.minute(60);
    assert_eq!(run.minute(60), ["InstanceStoreThroughputExceeded nvme1n1 warning"]);
}

#[test]
fn a_page_that_cannot_be_read_is_unknown() {
    let mut one = made::controller(1, NvmeModel::Ebs, EbsPage::default());
    one.ebs = Reading::failed("no right");
    let samples = Samples { nvme: made::fresh(1, vec![one]), ..Samples::default() };
    let look = made::look::<Ebs>(&mut BTreeMap::new(), 1, &samples, &BTreeSet::new());
    assert_eq!(look.standing, Standing::Unknown { why: "nvme1: no right".into() });
    let look = made::look::<Ebs>(&mut BTreeMap::new(), 1, &Samples::default(), &BTreeSet::new());
    assert!(matches!(look.standing, Standing::Unknown { .. }));
}

#[test]
fn every_limit_is_in_the_catalogue() {
    let kinds: Vec<_> = Ebs::ENTRIES.iter().map(|entry| &entry.kind).collect();
    assert_eq!(kinds, LIMITS.iter().map(|limit| &limit.kind).collect::<Vec<_>>());
}
