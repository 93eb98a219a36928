//! What each kubelet version knows: fields of KubeletConfiguration v1beta1, feature gates, flags. It refuses to be edited
//! by hand: `tests/e2e/kube/matrix/tables` makes the rows from kubelet's sources, and the matrix stage compares.
//!
//! The rows stay text in the binary and are read on each look: they cost no heap. They are sorted by name, so a look for
//! one name reads a dozen lines.

use crate::model::KubeletVersion;

const FIELDS: &str = include_str!("fields.tsv");
const GATES: &str = include_str!("gates.tsv");
const FLAGS: &str = include_str!("flags.tsv");

/// Minor versions for which a row holds; without a known version the row of any version counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First minor version.
    pub since: u16,
    /// Last minor version.
    pub until: u16,
}

impl Span {
    /// Whether the row holds for this version.
    pub fn holds(self, version: KubeletVersion) -> bool {
        (self.since..=self.until).contains(&version.clamped().minor)
    }

    /// In words, for a person.
    pub fn words(self) -> String {
        let newest = KubeletVersion::NEWEST.minor;
        match (self.since <= KubeletVersion::OLDEST.minor, self.until >= newest) {
            (_, true) => format!("kubelet 1.{} and later", self.since),
            (true, false) => format!("kubelet up to 1.{}", self.until),
            (false, false) => format!("kubelet 1.{} to 1.{}", self.since, self.until),
        }
    }
}

/// A field of KubeletConfiguration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Dotted path; an element of a list is `name[]`.
    pub path: &'static str,
    /// `string`, `bool`, `int32`, `int64`, `uint32`, `float64`, `duration`, `quantity`, `time`, `flush` (a duration or
    /// nanoseconds), `struct`, or one of these after `list:` or `map:`.
    pub kind: &'static str,
    /// Whether kubelet has a default for it that is not zero.
    pub defaulted: bool,
    /// The versions for which this row holds.
    pub span: Span,
}

/// A feature gate, in some versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Whether it is on unless set.
    pub default: bool,
    /// `alpha`, `beta`, `ga`, `deprecated` or `prealpha`.
    pub stage: &'static str,
    /// Whether setting it to anything but its default is an error.
    pub locked: bool,
    /// Gates without which it must not be on, separated by commas.
    pub needs: &'static str,
    /// The versions for which this row holds.
    pub span: Span,
}

/// A command-line flag of kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagRow {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// `bool`, `version` (both may stand without a value), `string`, `int32`, `int64`, `duration`, `list`, `map`,
    /// `map-nosplit`, `map-less` (`signal<quantity`), `map-bool`, `multimap`, `reserved-memory` or `taints`.
    pub kind: &'static str,
    /// The field that it overrides; empty for a flag that is no field.
    pub field: &'static str,
    /// The versions that have it.
    pub span: Span,
}

/// All fields of all versions.
pub fn fields() -> impl Iterator<Item = Field> {
    rows(FIELDS).filter_map(as_field)
}

/// All gates of all versions; a gate has one row per state that it was in.
pub fn gates() -> impl Iterator<Item = Gate> {
    rows(GATES).filter_map(as_gate)
}

/// All flags of all versions.
pub fn flags() -> impl Iterator<Item = FlagRow> {
    rows(FLAGS).filter_map(as_flag)
}

/// The rows of one field, one per span and kind.
pub fn field(path: &str) -> impl Iterator<Item = Field> {
    named(FIELDS, path).filter_map(as_field)
}

/// The rows of one gate, one per span and state.
pub fn gate(name: &str) -> impl Iterator<Item = Gate> {
    named(GATES, name).filter_map(as_gate)
}

/// What a flag is, from its newest row.
pub fn flag(name: &str) -> Option<FlagRow> {
    named(FLAGS, name).filter_map(as_flag).max_by_key(|row| row.span.until)
}

/// The names of the fields that the struct at this path has in this version.
pub fn names_within(path: &str, version: KubeletVersion) -> impl Iterator<Item = &'static str> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let names =
        fields().filter(move |field| field.span.holds(version)).filter_map(move |f| f.path.strip_prefix(&prefix));
    names.filter(|name| !name.contains(['.', '[']))
}

fn as_field(line: &'static str) -> Option<Field> {
    let mut columns = line.split('\t');
    Some(Field {
        path: columns.next()?,
        kind: columns.next()?,
        defaulted: columns.next()? == "default",
        span: span(columns)?,
    })
}

fn as_gate(line: &'static str) -> Option<Gate> {
    let mut columns = line.split('\t');
    Some(Gate {
        name: columns.next()?,
        default: columns.next()? == "true",
        stage: columns.next()?,
        locked: columns.next()? == "true",
        needs: columns.next()?,
        span: span(columns)?,
    })
}

fn as_flag(line: &'static str) -> Option<FlagRow> {
    let mut columns = line.split('\t');
    Some(FlagRow { name: columns.next()?, kind: columns.next()?, field: columns.next()?, span: span(columns)? })
}

/// The rows that begin with this name: by halving, since rows are sorted.
fn named(table: &'static str, name: &str) -> impl Iterator<Item = &'static str> {
    let row_at = |at: usize| {
        let start = table[..at].rfind('\n').map_or(0, |end| end + 1);
        let row = table[start..].lines().next().unwrap_or_default();
        (start, row, row.split('\t').next().unwrap_or_default())
    };
    let mut low = table.find('\n').map_or(0, |end| end + 1);
    let mut high = table.len();
    while low < high {
        // Rows are ASCII, as a test says, so any byte is the border of a character.
        let (start, row, key) = row_at(low + (high - low) / 2);
        if key < name {
            low = start + row.len() + 1;
        } else {
            high = start;
        }
    }
    let name = name.to_owned();
    table.get(low..).unwrap_or_default().lines().take_while(move |row| row.split('\t').next() == Some(&name))
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

fn span<'a>(mut columns: impl Iterator<Item = &'a str>) -> Option<Span> {
    Some(Span { since: columns.next()?.parse().ok()?, until: columns.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        assert_eq!(fields().count(), rows(FIELDS).count());
        assert_eq!(gates().count(), rows(GATES).count());
        assert_eq!(flags().count(), rows(FLAGS).count());
        assert!(fields().count() > 150 && gates().count() > 500 && flags().count() > 120);
    }

    #[test]
    fn a_name_is_found_by_halving() {
        for table in [FIELDS, GATES, FLAGS] {
            assert!(table.is_ascii() && table.ends_with('\n'));
            let lines: Vec<&str> = rows(table).collect();
            assert!(lines.is_sorted());
            for line in &lines {
                let name = line.split('\t').next().unwrap();
                let wanted: Vec<&&str> = lines.iter().filter(|l| l.split('\t').next() == Some(name)).collect();
                assert_eq!(named(table, name).collect::<Vec<_>>().iter().collect::<Vec<_>>(), wanted, "{name}");
            }
            for name in ["", "~", "mmm", "AAA", "zz.z", "maxPod", "maxPodss"] {
                assert_eq!(named(table, name).count(), 0, "{name}");
            }
        }
    }

    #[test]
    fn knows_what_the_release_notes_say() {
        let version = |minor| KubeletVersion { major: 1, minor };
        let known = |path: &str, minor| field(path).any(|f| f.span.holds(version(minor)));
        assert!(!known("failCgroupV1", 30) && known("failCgroupV1", 31));
        assert!(!known("mergeDefaultEvictionSettings", 32) && known("mergeDefaultEvictionSettings", 33));
        assert!(!known("memoryReservationPolicy", 35) && known("memoryReservationPolicy", 36));
        let psi: Vec<_> = gates().filter(|g| g.name == "KubeletPSI" && g.span.holds(version(36))).collect();
        assert!(psi.len() == 1 && psi[0].locked && psi[0].default);
        assert_eq!(flag("reserved-cpus").map(|f| f.field), Some("reservedSystemCPUs"));
        assert_eq!(field("authentication.x509.clientCAFile").next().map(|f| f.kind), Some("string"));
    }
}
