//! Dice for made-up samples. They refuse chance: a seed always gives the same.
#![allow(clippy::unwrap_used)]

use node_steward::model::Reading;
use node_steward::model::time::Mono;
use node_steward::model::watch::*;

/// Dice that always fall the same way for a seed; odd values come up often.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }

    pub fn number(&mut self) -> u64 {
        match self.roll(8) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from(u32::MAX) + self.roll(3) - 1,
            3 => self.roll(1 << 40),
            _ => self.roll(100_000),
        }
    }

    pub fn small(&mut self) -> u32 {
        u32::try_from(self.number() & u64::from(u32::MAX)).unwrap()
    }

    pub fn word(&mut self) -> String {
        let words =
            ["", "/", "nvme0n1", "sda", "a b", "é\u{0}", "/kubepods/pod0123456789abcdef0123456789abcdef", "..", "%"];
        words[usize::try_from(self.roll(words.len() as u64)).unwrap()].to_owned()
    }

    pub fn many<T>(&mut self, most: u64, one: impl Fn(&mut Self, u32) -> T) -> Vec<T> {
        let count = u32::try_from(self.roll(most + 1)).unwrap();
        (0..count).map(|index| one(self, index)).collect()
    }

    pub fn dev(&mut self) -> Dev {
        Dev { major: [0, 8, 259][usize::try_from(self.roll(3)).unwrap()], minor: u32::try_from(self.roll(4)).unwrap() }
    }

    pub fn sampled<T>(&mut self, at: Mono, value: T) -> Sampled<T> {
        match self.roll(12) {
            0 => Sampled::at(at, Reading::failed("EIO")),
            1 => Sampled::at(at, Reading::absent("not here")),
            2 => Sampled::at(Mono(at.0.saturating_sub(self.roll(90_000))), Reading::fresh(value, "dice")),
            _ => Sampled::at(at, Reading::fresh(value, "dice")),
        }
    }

    fn offer(&mut self) -> Offer {
        let texts = ["4", "3920m", "8Gi", "7Gi", "-1", "", "much"];
        let mut list = || {
            let names = ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi"];
            names.map(|name| (name.to_owned(), texts[usize::try_from(self.roll(7)).unwrap()].to_owned())).into()
        };
        Offer { capacity: list(), allocatable: list() }
    }

    pub fn io(&mut self) -> IoCounters {
        let mut number = || self.number();
        IoCounters { read_bytes: number(), write_bytes: number(), reads: number(), writes: number() }
    }

    pub fn disk(&mut self, index: u32) -> BlockDevice {
        let layers = [Layer::Disk, Layer::Disk, Layer::Disk, Layer::Loop, Layer::Partition, Layer::Made];
        let name = format!("sd{index}");
        BlockDevice {
            dev: Dev { major: 8, minor: index },
            layer: layers[usize::try_from(self.roll(6)).unwrap()],
            disks: self.many(3, |dice, _| format!("sd{}", dice.roll(4))),
            bytes: self.number(),
            model: self.word(),
            io_timeout_ms: (self.roll(2) > 0).then(|| self.number()),
            rotational: false,
            read_only: self.roll(9) == 0,
            name,
        }
    }

    pub fn counters(&mut self, index: u32) -> DiskCounters {
        DiskCounters {
            name: format!("sd{index}"),
            reads: self.number(),
            sectors_read: self.number(),
            read_ms: self.small(),
            writes: self.number(),
            sectors_written: self.number(),
            write_ms: self.small(),
            in_flight: self.number(),
            busy_ms: self.small(),
            discards: self.number(),
            discard_ms: self.small(),
            flushes: self.number(),
            flush_ms: self.small(),
        }
    }

    pub fn space(&mut self) -> Space {
        Space {
            total_bytes: self.number(),
            available_bytes: self.number(),
            inodes: self.number(),
            inodes_free: self.number(),
            read_only: self.roll(4) == 0,
        }
    }

    pub fn place(&mut self, index: u32) -> Place {
        let roles = ["root", "kubelet", "runtime", "logs", "pod logs", "mount"];
        let answer = match self.roll(7) {
            0 => Answer::Missing,
            1 => Answer::Refused { errno: 5, why: "EIO".to_owned() },
            2 => Answer::Stuck { for_ms: self.number() },
            3 => Answer::NotAsked { why: "busy".to_owned() },
            _ => Answer::Looked { dev: self.dev(), space: self.space() },
        };
        let role = roles[usize::try_from(self.roll(6)).unwrap()].to_owned();
        Place { path: format!("/m{index}"), role, answer }
    }

    pub fn page(&mut self) -> EbsPage {
        EbsPage {
            reads: self.number(),
            writes: self.number(),
            read_bytes: self.number(),
            write_bytes: self.number(),
            read_us: self.number(),
            write_us: self.number(),
            volume_iops_exceeded_us: self.number(),
            volume_throughput_exceeded_us: self.number(),
            instance_iops_exceeded_us: self.number(),
            instance_throughput_exceeded_us: self.number(),
            queue_length: self.number(),
            read_histogram: self.histogram(),
            write_histogram: self.histogram(),
        }
    }

    pub fn histogram(&mut self) -> Histogram {
        Histogram(self.many(5, |dice, _| Bin {
            lower_us: dice.number(),
            upper_us: dice.number(),
            count: dice.number(),
        }))
    }

    pub fn controller(&mut self, index: u32) -> NvmeController {
        let smart = Smart {
            critical_warning: u8::try_from(self.roll(256)).unwrap(),
            temperature_k: 300,
            available_spare_percent: u8::try_from(self.roll(256)).unwrap(),
            spare_threshold_percent: u8::try_from(self.roll(256)).unwrap(),
            percentage_used: u8::try_from(self.roll(256)).unwrap(),
            media_errors: self.number(),
            error_log_entries: self.number(),
        };
        NvmeController {
            name: format!("nvme{index}"),
            state: ["live", "dead", "resetting", ""][usize::try_from(self.roll(4)).unwrap()].to_owned(),
            model_name: self.word(),
            model: [NvmeModel::Ebs, NvmeModel::InstanceStore, NvmeModel::Other][usize::try_from(self.roll(3)).unwrap()],
            volume: self.word(),
            disks: self.many(2, |dice, _| format!("sd{}", dice.roll(4))),
            pages_taken: Mono(self.roll(2_000_000)),
            ebs: if self.roll(3) > 0 { Reading::fresh(self.page(), "dice") } else { Reading::absent("none") },
            smart: if self.roll(3) > 0 { Reading::fresh(smart, "dice") } else { Reading::failed("EIO") },
        }
    }

    pub fn daemon(&mut self, index: u32) -> Daemon {
        Daemon {
            unit: format!("{index}.service"),
            pid: self.small(),
            start_ticks: self.roll(3),
            files_max: self.number(),
            files: self.number(),
            outdated: self.roll(2) > 0,
        }
    }

    pub fn image(&mut self) -> Image {
        let dates = [
            "",
            "2026-01-01",
            "0000-00-00",
            "-9999-01-01",
            "9999-12-31",
            "2026-01-01T00:00:00Z",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}2026",
        ];
        let kernels = ["", "6.1.0-9-amd64", "6.1.0-99999999999999999999-amd64", "6.1", "\u{e9}", "..-"];
        let mut pick = |of: &[&str]| of[usize::try_from(self.roll(of.len() as u64)).unwrap()].to_owned();
        let (support_end, built, running) = (pick(&dates), pick(&dates), pick(&kernels));
        let installed = vec![pick(&kernels), pick(&kernels)];
        Image {
            os: self.word(),
            support_end,
            built,
            running,
            kernels: (self.roll(4) > 0).then_some(installed),
            reboot_required: (self.roll(4) == 0).then(|| self.many(2, |dice, _| dice.word())),
        }
    }

    /// Anything that the types allow.
    pub fn samples(&mut self, at: Mono) -> Samples {
        let counters = self.many(4, Self::counters);
        let devices = self.many(4, Self::disk);
        let mut stall = || Some(Stall { some_us: self.number(), full_us: self.number() }).filter(|_| self.roll(5) > 0);
        let node = Pressure { io: stall(), memory: stall(), cpu: stall() };
        let cpu = CpuTimes {
            total: self.number(),
            idle: self.number(),
            iowait: self.number(),
            steal: self.number(),
            cpus: self.small(),
        };
        let mounts = self.many(4, |dice, index| Mount {
            id: index,
            dev: dice.dev(),
            root: dice.word(),
            point: format!("/m{index}"),
            options: ["rw", "ro", "rw,relatime", ""][usize::try_from(dice.roll(4)).unwrap()].to_owned(),
            kind: ["ext4", "xfs", "overlay", "tmpfs"][usize::try_from(dice.roll(4)).unwrap()].to_owned(),
            source: dice.word(),
            super_options: ["rw", "ro,emergency_ro", "rw,shutdown"][usize::try_from(dice.roll(3)).unwrap()].to_owned(),
        });
        let ext = self.many(3, |dice, index| ExtErrors {
            device: format!("sd{index}"),
            errors: dice.number(),
            warnings: dice.number(),
            last_error_time: i64::try_from(dice.number() >> 1).unwrap(),
            last_error_func: dice.word(),
            last_error_code: dice.number(),
        });
        let places = self.many(6, Self::place);
        let mut thresholds = Thresholds::default();
        for signal in ["nodefs.available", "imagefs.inodesFree"] {
            thresholds.hard.insert(
                signal.to_owned(),
                ["10%", "1Gi", "", "x", "-5%"][usize::try_from(self.roll(5)).unwrap()].to_owned(),
            );
        }
        thresholds.reserved = match self.roll(3) {
            0 => Reading::failed("x"),
            _ => Reading::fresh(Reserved { kube: self.resources(), system: self.resources() }, "dice"),
        };
        let allowances = self.many(2, |dice, index| Allowances {
            interface: format!("ens{index}"),
            counters: ["linklocal_allowance_exceeded", "pps_allowance_exceeded", "x"]
                .into_iter()
                .map(|name| (name.to_owned(), dice.number()))
                .collect(),
        });
        let units = self.many(3, |dice, index| UnitState {
            unit: format!("u{index}.service"),
            active: ["active", "failed", ""][usize::try_from(dice.roll(3)).unwrap()].to_owned(),
            sub: dice.word(),
            result: ["success", "exit-code", "watchdog", ""][usize::try_from(dice.roll(4)).unwrap()].to_owned(),
            restarts: (dice.roll(2) > 0).then(|| dice.number()),
            started_us: dice.number(),
            exit_status: (dice.roll(2) > 0).then(|| dice.number()),
        });
        let outside = self.outside();
        let nvme = self.many(3, Self::controller);
        let groups = self.many(6, |dice, _| GroupIo {
            path: format!("/{}/{}", dice.word(), dice.word()),
            by_device: dice.many(3, |dice, index| (Dev { major: 8, minor: index }, dice.io())),
        });
        let processes = self.many(4, |dice, index| ProcessIo {
            pid: index,
            start_ticks: dice.roll(3),
            comm: dice.word(),
            cgroup: dice.word(),
            taken: Mono(at.0.saturating_sub(dice.roll(20_000))),
            read_bytes: dice.number(),
            write_bytes: dice.number(),
            devices: dice.many(3, |dice, _| dice.dev()),
        });
        let tasks = self.many(4, |dice, index| BlockedTask {
            tid: index,
            pid: index,
            start_ticks: dice.roll(2),
            comm: dice.word(),
            wchan: dice.word(),
            cgroup: dice.word(),
            switches: (dice.roll(2) > 0).then(|| dice.roll(2)),
        });
        let records = self.many(2, |dice, index| Record {
            seq: at.0 + u64::from(index),
            level: 3,
            facility: 0,
            at_us: dice.number(),
            text: [
                "I/O error, dev sda, sector 7 op 0x0:(READ)",
                "INFO: task x:1 blocked for more than 120 seconds.",
                "é",
                "",
            ][usize::try_from(dice.roll(4)).unwrap()]
            .to_owned(),
            subsystem: String::new(),
            device: dice.word(),
        });
        let conntrack =
            Conntrack { count: self.number(), max: self.number(), dropped: (self.roll(2) > 0).then(|| self.number()) };
        let task_room = Tasks {
            tasks: self.number(),
            pid_max: self.number(),
            threads_max: self.number(),
            groups: self.many(3, |dice, index| GroupTasks {
                path: format!("/g{index}"),
                tasks: dice.number(),
                max: dice.number(),
            }),
        };
        let files = FileTable { open: self.number(), max: self.number() };
        let daemons = self.many(3, Self::daemon);
        let clock = ClockState {
            synchronized: self.roll(2) > 0,
            max_error_us: self.number(),
            estimated_error_us: self.number(),
        };
        let memory = Memory { total_bytes: self.number(), available_bytes: self.number() };
        let kind = ["t3.large", "t", "m5.large", "", "t4g.", "."][usize::try_from(self.roll(6)).unwrap()].to_owned();
        let image = self.image();
        let offer = self.offer();
        let logging = self.logging();
        let journal = self.journal();
        let log_writers = self.many(3, Self::writer);
        Samples {
            counters: self.sampled(at, counters),
            devices: self.sampled(at, devices),
            pressure: self.sampled(at, NodePressure { node, groups: Vec::new() }),
            cpu: self.sampled(at, cpu),
            mounts: self.sampled(at, mounts),
            ext: self.sampled(at, ext),
            places: self.sampled(at, places),
            thresholds: self.sampled(at, thresholds),
            outside_pods: self.sampled(at, outside),
            units: self.sampled(at, units),
            allowances: self.sampled(at, allowances),
            nvme: self.sampled(at, nvme),
            groups: self.sampled(at, groups),
            processes: self.sampled(at, processes),
            tasks: self.sampled(at, tasks),
            names: Sampled::default(),
            conntrack: self.sampled(at, conntrack),
            task_room: self.sampled(at, task_room),
            files: self.sampled(at, files),
            daemons: self.sampled(at, daemons),
            clock: self.sampled(at, clock),
            memory: self.sampled(at, memory),
            instance_type: self.sampled(at, kind),
            image: self.sampled(at, image),
            offer: self.sampled(at, offer),
            logging: self.sampled(at, logging),
            journal: self.sampled(at, journal),
            log_writers: self.sampled(at, log_writers),
            kernel_log: KernelLog { records, lost: self.roll(3), unreadable: None },
        }
    }
}
