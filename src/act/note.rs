//! What the node keeps from pods, as an annotation of the Node: whoever tells an autoscaler what to expect of such nodes can compare. Pure. It refuses to
//! write what is there already, and to fight over it.

use serde_json::{Value, json};

use crate::cluster::{Error, Node, Request, jitter};
use crate::model::time::Mono;
use crate::model::watch::Reserved;

/// The annotation.
pub const RESERVED: &str = "node-steward.io/reserved";
/// A fleet that has come up together does not write together.
const WITHIN_MS: u64 = 30_000;
const SALT: u64 = 1 << 40;
/// From one word to the next, whatever happens.
const APART_MS: u64 = 300_000;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Note {
    /// What it is to say; none while that is not known.
    wanted: Option<String>,
    /// The Node's name and what it says; none while the Node is not before our eyes.
    there: Option<(String, Option<String>)>,
    due: Option<Mono>,
    spoke: Option<Mono>,
}

/// What is reserved and by which files, in one line of JSON.
pub fn text(reserved: &Reserved, from: &str) -> String {
    json!({"kubeReserved": reserved.kube, "systemReserved": reserved.system, "source": from}).to_string()
}

impl Note {
    /// What it is to say from now on.
    pub fn want(&mut self, now: Mono, wanted: Option<String>) {
        if wanted.is_some() && wanted != self.wanted {
            self.wanted = wanted;
            self.plan(now);
        }
    }

    /// Our Node as it is.
    pub fn saw(&mut self, now: Mono, node: &Node) {
        let says = node.metadata.annotations.get(RESERVED).cloned();
        self.there = Some((node.metadata.name.clone(), says));
        self.plan(now);
    }

    /// The Node cannot be seen.
    pub fn lost(&mut self) {
        (self.there, self.due) = (None, None);
    }

    fn plan(&mut self, now: Mono) {
        let (Some(wanted), Some((node, says))) = (&self.wanted, &self.there) else { return };
        if says.as_ref() == Some(wanted) {
            self.due = None;
        } else if self.due.is_none() {
            let settled = now.plus_ms(jitter(node, SALT, WITHIN_MS));
            self.due = Some(self.spoke.map_or(settled, |spoke| settled.max(spoke.plus_ms(APART_MS))));
        }
    }

    /// When it is to be written.
    pub fn next(&self) -> Option<Mono> {
        self.due
    }

    /// The request that writes it, where it is time.
    pub fn take(&self, now: Mono) -> Option<Request> {
        let ((name, _), wanted) = (self.there.as_ref()?, self.wanted.as_ref()?);
        let patch = |value: Value| json!({"metadata": {"annotations": {RESERVED: value}}});
        self.due.filter(|due| *due <= now)?;
        Some(Request::PatchNode { name: name.clone(), version: None, patch: patch(wanted.as_str().into()) })
    }

    /// What came of it.
    pub fn answered(&mut self, now: Mono, error: Option<&Error>) {
        self.spoke = Some(now);
        self.due = match error {
            // The watch shows it; until then it is not said again.
            None => {
                if let Some((_, says)) = &mut self.there {
                    says.clone_from(&self.wanted);
                }
                None
            }
            Some(Error::HeldBack { ms }) => {
                self.spoke = None;
                Some(now.plus_ms(*ms))
            }
            Some(_) => Some(now.plus_ms(APART_MS)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, Millicores, Resources};

    fn node(says: Option<&str>) -> Node {
        let mut node = Node::default();
        node.metadata.name = "n".to_owned();
        node.metadata.annotations.extend(says.map(|says| (RESERVED.to_owned(), says.to_owned())));
        node
    }

    #[test]
    fn it_is_one_line_of_json() {
        let reserved =
            Reserved { kube: Resources::of(Millicores(80), Bytes(893 << 20), None), system: Resources::default() };
        assert_eq!(
            text(&reserved, "kubeReserved: /k.conf"),
            r#"{"kubeReserved":{"cpu":"80m","memory":"893Mi"},"systemReserved":{},"source":"kubeReserved: /k.conf"}"#
        );
    }

    #[test]
    fn it_is_written_once_and_put_back_after_five_minutes_at_the_earliest() {
        let mut note = Note::default();
        note.saw(Mono(1_000), &node(None));
        assert_eq!(note.next(), None, "nothing is known yet");
        note.want(Mono(2_000), Some("a".to_owned()));
        let due = note.next().unwrap();
        assert!(due <= Mono(2_000 + WITHIN_MS), "{due:?}");
        let Some(Request::PatchNode { patch, version: None, .. }) = note.take(due) else { panic!() };
        assert_eq!(patch, json!({"metadata": {"annotations": {RESERVED: "a"}}}));
        note.answered(due, None);
        assert_eq!((note.next(), note.take(due)), (None, None));
        note.saw(due, &node(Some("a")));
        note.want(due, Some("a".to_owned()));
        assert_eq!(note.next(), None);
        note.saw(due.plus_ms(10), &node(Some("another's")));
        assert!(note.next().unwrap() >= due.plus_ms(APART_MS));
        note.saw(due.plus_ms(20), &node(Some("a")));
        assert_eq!(note.next(), None, "it is right again");
    }

    #[test]
    fn who_is_refused_or_away_waits() {
        let mut note = Note::default();
        note.want(Mono(0), Some("a".to_owned()));
        note.saw(Mono(0), &node(Some("old")));
        let due = note.next().unwrap();
        note.answered(due, Some(&Error::Forbidden(String::new())));
        assert_eq!(note.next(), Some(due.plus_ms(APART_MS)));
        note.answered(due, Some(&Error::HeldBack { ms: 700 }));
        assert_eq!(note.next(), Some(due.plus_ms(700)));
        note.lost();
        assert_eq!((note.next(), note.take(due.plus_ms(1_000_000))), (None, None));
    }
}
