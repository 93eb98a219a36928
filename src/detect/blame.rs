//! Who is behind a device's I/O. It refuses shares that do not add up: what nobody was seen to do is `unattributed`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::window::DiskWindow;
use crate::model::problem::Contributor;
use crate::model::watch::{Dev, Samples};

/// Cumulative counters of the last sample, to make windows of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {}

impl Tally {
    /// Contributors by device for the windows that ended now.
    pub fn blame(&mut self, _: &Samples, _: &[DiskWindow]) -> BTreeMap<Dev, Vec<Contributor>> {
        BTreeMap::new()
    }
}
