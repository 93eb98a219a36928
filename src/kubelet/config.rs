//! The configuration that a kubelet is given: main file, drop-ins, flags. It refuses to find them itself; whoever lists
//! the directory passes only what kubelet reads (files whose name ends in `.conf`).

mod duration;
mod effective;
mod merge;
mod parse;

pub use crate::model::Threshold;
pub use duration::{SECOND, parse_duration};
pub use effective::{Effective, Origin};
pub use parse::{NOT_A_DOCUMENT, parse};

use crate::kubelet::flags::Flags;
use crate::model::{KubeletVersion, Node};

/// One file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// Where it lies, for messages and for the order of drop-ins.
    pub path: String,
    /// What stands in it.
    pub node: Node,
}

/// All that decides what a kubelet uses.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KubeletConfig {
    /// The file of `--config`.
    pub main: Option<ConfigFile>,
    /// The `.conf` files of `--config-dir`, in any order.
    pub drop_ins: Vec<ConfigFile>,
    /// kubelet's command line.
    pub flags: Flags,
}

impl KubeletConfig {
    /// What the newest known kubelet would use.
    pub fn effective(&self) -> Effective {
        self.effective_for(None)
    }

    /// What a kubelet of this version would use: main file, its `evictionHard` filled where it is absent, then drop-ins
    /// in lexical order by that version's way of merging, then flags.
    pub fn effective_for(&self, version: Option<KubeletVersion>) -> Effective {
        Effective::of(self, version.unwrap_or(KubeletVersion::NEWEST))
    }

    /// The drop-ins in kubelet's order: a directory's files and folders by name.
    pub fn drop_ins_in_order(&self) -> Vec<&ConfigFile> {
        let mut files: Vec<&ConfigFile> = self.drop_ins.iter().collect();
        files.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        files
    }
}
