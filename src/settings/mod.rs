//! TOML drop-ins merged into one value that remembers which file and line set each key. It knows files and keys, and refuses to know any room's types.
//!
//! Later wins: `/usr/lib/node-steward/config.d/*.toml`, `/etc/node-steward/config.toml`, `/etc/node-steward/config.d/*.toml`,
//! `/run/node-steward/config.d/*.toml`. A file given by name replaces the whole chain. No file at all is valid.

mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

pub use error::SettingsError;

use crate::host::Host;

const DIRS_AND_FILES: [(&str, bool); 4] = [
    ("/usr/lib/node-steward/config.d", true),
    ("/etc/node-steward/config.toml", false),
    ("/etc/node-steward/config.d", true),
    ("/run/node-steward/config.d", true),
];
const MOST_BYTES: u64 = 1 << 20;

/// Where a key was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// All settings, merged.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    table: toml::Table,
    origins: BTreeMap<String, Origin>,
    files: Vec<PathBuf>,
}

impl Merged {
    /// Reads the chain, or `config` alone.
    pub fn load(host: &Host, config: Option<&Path>) -> Result<Self, SettingsError> {
        Self::of(&Self::read(host, config)?)
    }

    /// The texts of the chain, or of `config` alone, in the order in which they count: all that touches a file system.
    pub fn read(host: &Host, config: Option<&Path>) -> Result<Vec<(PathBuf, Vec<u8>)>, SettingsError> {
        let mut texts = Vec::new();
        for file in files(host, config)? {
            let bytes = host.read(&file, MOST_BYTES).map_err(|error| SettingsError::new(&file, error.to_string()))?;
            match bytes {
                Some(bytes) => texts.push((file, bytes)),
                None if config.is_some() => return Err(SettingsError::new(&file, "there is no such file".to_owned())),
                None => {}
            }
        }
        Ok(texts)
    }

    /// Merges texts that were read before.
    pub fn of(texts: &[(PathBuf, Vec<u8>)]) -> Result<Self, SettingsError> {
        let mut merged = Self::default();
        for (file, bytes) in texts {
            merged.add(file, bytes)?;
        }
        Ok(merged)
    }

    /// Lays one file's keys over what is there.
    fn add(&mut self, file: &Path, bytes: &[u8]) -> Result<(), SettingsError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| SettingsError::new(file, format!("not UTF-8 text after byte {}", error.valid_up_to())))?;
        let spans = DeTable::parse(text).map_err(|error| SettingsError::of_syntax(file, text, &error))?;
        let table =
            toml::from_str::<toml::Table>(text).map_err(|error| SettingsError::of_syntax(file, text, &error))?;
        merge(&mut self.table, table);
        self.note_origins(file, text, spans.get_ref(), "");
        self.files.push(file.to_owned());
        Ok(())
    }

    fn note_origins(&mut self, file: &Path, text: &str, table: &DeTable<'_>, prefix: &str) {
        for (key, value) in table {
            let path = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.note_origins(file, text, inner, &format!("{path}."));
            }
            let (line, column) = error::line_and_column(text, key.span().start);
            self.origins.insert(path, Origin { file: file.to_owned(), line, column });
        }
    }

    /// One room's section, or its default where no file has it. An unknown key or a wrong value names file, line, column and the nearest key.
    pub fn section<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, SettingsError> {
        let Some(section) = self.table.get(name) else { return Ok(T::default()) };
        serde_path_to_error::deserialize(section.clone())
            .map_err(|error| self.of_value(&format!("{name}.{}", error.path()), &error.into_inner().to_string()))
    }

    /// Refuses a section that no room has.
    pub fn only(&self, known: &[&str]) -> Result<(), SettingsError> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                Err(self.of_value(key, &format!("unknown field `{key}`, expected one of {}", quoted.join(", "))))
            }
        }
    }

    /// A complaint about a key's value, at its place.
    pub fn complaint(&self, path: &str, why: &str) -> SettingsError {
        self.of_value(path, why)
    }

    /// Which file set a key; none where it has its default.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.origins.get(path)
    }

    /// The files that were read, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every key that a file set, with its value and origin.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &toml::Value, &Origin)> {
        self.origins.iter().filter_map(|(path, origin)| {
            let mut value: Option<&toml::Value> = None;
            for part in path.split('.') {
                value = match value {
                    None => self.table.get(part),
                    Some(inner) => inner.get(part),
                };
                value?;
            }
            value.filter(|value| !value.is_table()).map(|value| (path.as_str(), value, origin))
        })
    }

    /// The error for a key: its own origin, or that of the nearest table around it.
    fn of_value(&self, path: &str, why: &str) -> SettingsError {
        let unknown = error::unknown_field(why);
        let exact = match unknown {
            Some(field) if !path.ends_with(field) => format!("{path}.{field}").replace("..", "."),
            _ => path.to_owned(),
        };
        let mut around = exact.as_str();
        loop {
            if let Some(origin) = self.origins.get(around) {
                return SettingsError::at(origin.clone(), &exact, why);
            }
            match around.rsplit_once('.') {
                Some((outer, _)) => around = outer,
                None => return SettingsError::new(Path::new("settings"), format!("{exact}: {why}")),
            }
        }
    }
}

/// The files of the chain that exist, in the order in which they count.
fn files(host: &Host, config: Option<&Path>) -> Result<Vec<PathBuf>, SettingsError> {
    if let Some(config) = config {
        return Ok(vec![config.to_owned()]);
    }
    let mut files = Vec::new();
    for (path, is_dir) in DIRS_AND_FILES {
        if !is_dir {
            files.push(PathBuf::from(path));
            continue;
        }
        let entries =
            host.list(Path::new(path)).map_err(|error| SettingsError::new(Path::new(path), error.to_string()))?;
        let names = entries.unwrap_or_default().into_iter().map(|entry| entry.name);
        files.extend(names.filter(|name| name.ends_with(".toml")).map(|name| Path::new(path).join(name)));
    }
    Ok(files)
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Room {
        profile: String,
        pods: u32,
        inner: BTreeMap<String, u32>,
    }

    fn merged(files: &[(&str, &str)]) -> Result<Merged, SettingsError> {
        let mut merged = Merged::default();
        for (file, text) in files {
            merged.add(Path::new(file), text.as_bytes())?;
        }
        Ok(merged)
    }

    #[test]
    fn later_wins_by_key_and_origins_stay() {
        let files = [
            ("/a.toml", "[room]\nprofile = \"x\"\npods = 1\ninner = { a = 1 }\n"),
            ("/b.toml", "[room]\npods = 2\n[room.inner]\nb = 2\n"),
        ];
        let merged = merged(&files).unwrap();
        let room: Room = merged.section("room").unwrap();
        assert_eq!((room.profile.as_str(), room.pods, room.inner.len()), ("x", 2, 2));
        assert_eq!(merged.origin("room.pods").unwrap().to_string(), "/b.toml:2:1");
        assert_eq!(merged.origin("room.profile").unwrap().to_string(), "/a.toml:2:1");
        assert_eq!(merged.keys().count(), 4);
    }

    #[test]
    fn mistakes_name_the_place_and_the_nearest_key() {
        for (text, place, words) in [
            ("[room]\nprofil = \"x\"\n", "/c.toml:2:1", ["room.profil", "did you mean \"profile\""]),
            ("[room]\npods = \"many\"\n", "/c.toml:2:1", ["room.pods", "invalid type"]),
            ("[roon]\npods = 1\n", "/c.toml:1:2", ["roon", "did you mean \"room\""]),
            ("[room\npods = 1\n", "/c.toml:1:6", ["", ""]),
            ("[room]\ninner = { a = -1 }\n", "/c.toml:2:", ["room.inner", "-1"]),
        ] {
            let error = merged(&[("/c.toml", text)])
                .and_then(|merged| {
                    merged.only(&["room"])?;
                    merged.section::<Room>("room")
                })
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(place), "{text}: {error}");
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
