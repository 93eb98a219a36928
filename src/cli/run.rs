//! `run`: the daemon.

use super::args::{Common, RunArgs};
use super::{Ending, Failure};
use crate::agent::watch::{self, Options};

pub(super) fn run(common: &Common, options: &RunArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    let config = common.config.as_deref().map(|path| common.inside(path));
    watch::run(host, Options { config, dry_run: options.dry_run })?;
    Ok(Ending::Fine)
}
