//! Who may read and who may write. It refuses everybody whom the kernel does not name.

use std::path::Path;

use super::Rules;
use crate::host::{Host, HostResult, Peer};

/// The group whose members may read.
pub const READERS: &str = "node-steward";

/// The groups by number, looked up once: a name service has no place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gate {
    /// May read.
    pub readers: Option<u32>,
    /// May write, and read.
    pub writers: Option<u32>,
    /// The user that the agent runs as: root, and whoever started it by hand.
    pub own: u32,
}

impl Gate {
    /// Looks the groups up in /etc/group. A write group that is not there is said and lets nobody in.
    pub fn new(host: &Host, rules: &Rules) -> HostResult<(Self, Option<String>)> {
        let bytes = host.read(Path::new("/etc/group"), 1 << 20)?.unwrap_or_default();
        Ok(Self::of(&String::from_utf8_lossy(&bytes), rules))
    }

    /// The same from the text of /etc/group.
    pub fn of(groups: &str, rules: &Rules) -> (Self, Option<String>) {
        let writers = rules.write_group.as_deref().and_then(|name| number(groups, name));
        let missing = match (&rules.write_group, writers) {
            (Some(name), None) => {
                Some(format!("api.write_group: /etc/group has no group {name:?}: only root may write"))
            }
            _ => None,
        };
        (Self { readers: number(groups, READERS), writers, own: crate::host::own_uid() }, missing)
    }

    /// Whether the peer may read.
    pub fn may_read(&self, peer: &Peer) -> bool {
        self.may_write(peer) || is_in(peer, self.readers)
    }

    /// Whether the peer may write.
    pub fn may_write(&self, peer: &Peer) -> bool {
        peer.uid == 0 || peer.uid == self.own || is_in(peer, self.writers)
    }
}

fn is_in(peer: &Peer, group: Option<u32>) -> bool {
    group.is_some_and(|group| peer.groups.contains(&group))
}

/// A group's number in the text of /etc/group.
fn number(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)).flatten()?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supplementary_groups_count_and_nobody_else_does() {
        let groups = "root:x:0:\nnode-steward:x:990:alice\nops:x:50:\nbroken\n";
        assert_eq!(
            (number(groups, "node-steward"), number(groups, "broken"), number(groups, "x")),
            (Some(990), None, None)
        );
        let gate = Gate { readers: Some(990), writers: Some(50), own: 7 };
        let peer = |uid, groups: &[u32]| Peer { uid, groups: groups.to_vec() };
        let cases = [
            (peer(0, &[0]), true, true),
            (peer(7, &[7]), true, true),
            (peer(8, &[8]), false, false),
            (peer(8, &[8, 990]), true, false),
            (peer(8, &[8, 50]), true, true),
        ];
        for (peer, read, write) in cases {
            assert_eq!((gate.may_read(&peer), gate.may_write(&peer)), (read, write), "{peer:?}");
        }
        assert!(!Gate { own: 7, ..Gate::default() }.may_read(&peer(8, &[0, 8])), "no group is no gate for group 0");
    }
}
