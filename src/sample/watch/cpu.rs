//! The first line of /proc/stat: what the CPUs' time went to (proc_stat(5)). It refuses to count a guest's time twice.

use super::raw::bad_line;
use crate::model::watch::CpuTimes;

pub(super) const PATH: &str = "/proc/stat";

pub(super) fn parse(text: &str, times: &mut CpuTimes) -> Result<(), String> {
    let line = text.lines().next().unwrap_or_default();
    let bad = || bad_line(0, line, "cpu and at least 4 numbers");
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("cpu") {
        return Err(bad());
    }
    // user nice system idle iowait irq softirq steal; what follows (guest) is in user and nice already.
    let mut ticks = [0u64; 8];
    let mut count = 0;
    for (word, tick) in words.zip(&mut ticks) {
        *tick = word.parse().map_err(|_| bad())?;
        count += 1;
    }
    if count < 4 {
        return Err(bad());
    }
    let cpus = text.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
    *times = CpuTimes {
        total: ticks.iter().fold(0, |sum, tick| sum.saturating_add(*tick)),
        idle: ticks[3],
        iowait: ticks[4],
        steal: ticks[7],
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_not_counted_twice() {
        let text = "cpu  100 1 20 700 30 2 3 44 50 6\ncpu0 50 1 10 350 15 1 2 22 25 3\ncpu1 50 0 10 350 15 1 1 22 25 3\nintr 1 2 3\n";
        let mut times = CpuTimes::default();
        parse(text, &mut times).unwrap();
        assert_eq!(times, CpuTimes { total: 900, idle: 700, iowait: 30, steal: 44, cpus: 2 });
        for text in ["", "cpu", "cpu 1 2 3", "cpu 1 2 3 x", "cpu0 1 2 3 4", "\u{0}"] {
            assert!(parse(text, &mut times).unwrap_err().starts_with("line 1"), "{text:?}");
        }
    }
}
