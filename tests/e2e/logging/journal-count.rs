//! Prints what the index of each journal file says, one JSON object a line, for a test that compares it with journalctl's own counts; or looks at this
//! machine's whole journal so often as a probe does, and prints what a look costs. It refuses to read a message.
//!
//!     journal-count FILE...
//!     journal-count --looks N      microseconds of CPU a look, bytes of its answer, files, messages, units

use std::path::Path;

use anyhow::{Context, bail};
use nix::sys::resource::{UsageWho, getrusage};
use node_steward::host::Host;
use node_steward::model::Reading;
use node_steward::sample::guarded::{self, Request, Response};
use node_steward::sample::journal;

fn main() -> anyhow::Result<()> {
    let host = Host::new(Path::new("/"))?;
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "--looks").is_some() {
        return looks(&host, words.next().context("how many looks?")?.parse()?);
    }
    for path in words {
        println!("{}", serde_json::to_string(&journal::count(&host, Path::new(&path))?)?);
    }
    Ok(())
}

fn looks(host: &Host, count: i64) -> anyhow::Result<()> {
    let one = || guarded::answer(host, &[Request::Journal], |_| Reading::absent("not asked")).pop();
    // The first look may wait for the disk.
    let Some(first) = one() else { bail!("no answer") };
    let Response::Journal(Reading::Fresh { value: seen, .. }) = &first else { bail!("{first:?}") };
    if let Some(file) = seen.files.iter().find(|file| file.cut.is_some()) {
        bail!("{}: {:?}", file.path, file.cut);
    }
    let before = cpu_us()?;
    let mut bytes = 0;
    for _ in 0..count {
        bytes = serde_json::to_string(&one())?.len();
    }
    let each = (cpu_us()? - before) / count.max(1);
    let messages: u64 = seen.files.iter().map(|file| file.entries).sum();
    let units: usize = seen.files.iter().map(|file| file.units.len()).sum();
    println!("{each} {bytes} {} {messages} {units}", seen.count);
    Ok(())
}

fn cpu_us() -> anyhow::Result<i64> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let us = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(us(used.user_time()) + us(used.system_time()))
}
