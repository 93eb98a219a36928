//! The floors of the house, held: every `crate::room` path in the code, not `use` lines alone, points to a lower floor. It refuses itself to be blind:
//! planted violations must be found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Reads the project's own tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Rooms and their floors. Rooms on one floor do not know each other.
const FLOORS: [(&str, u8); 15] = [
    ("model", 0),
    ("reserve", 1),
    ("detect", 1),
    ("rules", 1),
    ("policy", 1),
    ("metrics", 1),
    ("host", 1),
    ("settings", 2),
    ("sample", 2),
    ("kubelet", 2),
    ("cluster", 2),
    ("act", 3),
    ("api", 3),
    ("agent", 4),
    ("cli", 5),
];
/// Rooms of pure values: no file, clock, environment, process or runtime.
const PURE: [&str; 7] = ["model", "reserve", "detect", "rules", "policy", "metrics", "act"];
const IMPURE: [[&str; 2]; 9] = [
    ["std", "fs"],
    ["std", "net"],
    ["std", "process"],
    ["std", "env"],
    ["std", "time"],
    ["std", "thread"],
    ["tokio", ""],
    ["nix", ""],
    ["std", "io"],
];
/// Files past this are looked at again; past the second number they are split.
const MOST_LINES: usize = 400;

fn floor(room: &str) -> u8 {
    FLOORS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("the room {room} has no floor")).1
}

/// Every path in the code that starts with `crate`, `super` or a crate's name, as its segments.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn of(code: &str) -> Vec<Vec<String>> {
        let mut paths = Self::default();
        paths.visit_file(&syn::parse_file(code).expect("Rust"));
        paths.0
    }

    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.0.push(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.0.push(prefix.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(prefix, item)),
        }
    }

    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        // Inside macros there are no parsed paths: runs of `a :: b :: c` are collected as they stand.
        let mut run: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(name) if run.is_empty() || colons == 2 => {
                    run.push(name.to_string());
                    colons = 0;
                }
                proc_macro2::TokenTree::Punct(mark) if mark.as_char() == ':' && !run.is_empty() => colons += 1,
                other => {
                    self.0.push(std::mem::take(&mut run));
                    colons = 0;
                    match other {
                        proc_macro2::TokenTree::Ident(name) => run.push(name.to_string()),
                        proc_macro2::TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.0.push(run);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }
}

/// Whether a room has a file or folder of this name.
fn has_file(room: &str, name: &str) -> bool {
    let room = project().join("src").join(room);
    room.join(name).is_dir() || room.join(format!("{name}.rs")).is_file()
}

/// What is wrong with a file of a room, in sentences.
fn violations(room: &str, code: &str) -> Vec<String> {
    let rooms: Vec<_> = FLOORS.iter().map(|(name, _)| *name).collect();
    let mut found = Vec::new();
    for path in Paths::of(code) {
        let segments: Vec<_> = path.iter().map(String::as_str).collect();
        let other = match segments[..] {
            ["crate" | "node_steward", other, ..] => Some(other),
            ["super", "super", other, ..] if rooms.contains(&other) => Some(other),
            // A room's own mod.rs may reach its neighbours by `super` once; elsewhere it is the room's own file of that name.
            ["super", other, ..] if rooms.contains(&other) && !has_file(room, other) => Some(other),
            _ => None,
        };
        if let Some(other) = other.filter(|other| rooms.contains(other) && *other != room)
            && floor(other) >= floor(room)
        {
            found.push(format!(
                "{room} (floor {}) names {} (floor {})",
                floor(room),
                segments.join("::"),
                floor(other)
            ));
        }
        if PURE.contains(&room) {
            for [krate, module] in IMPURE {
                if segments.first() == Some(&krate) && (module.is_empty() || segments.get(1) == Some(&module)) {
                    found.push(format!("the pure room {room} names {}", segments.join("::")));
                }
            }
        }
    }
    found
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn room_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(project().join("src")).unwrap();
    (inside.components().count() > 1)
        .then(|| inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned())
}

#[test]
fn arrows_point_down() {
    let mut found = Vec::new();
    let mut seen = 0;
    for file in sources(&project().join("src")) {
        let Some(room) = room_of(&file) else { continue };
        seen += 1;
        let code = fs::read_to_string(&file).unwrap();
        found.extend(violations(&room, &code).into_iter().map(|what| format!("{}: {what}", file.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(seen > 30, "only {seen} files looked at");
}

#[test]
fn every_room_has_a_floor_and_every_floor_a_room() {
    let mut rooms: Vec<_> = sources(&project().join("src")).iter().filter_map(|file| room_of(file)).collect();
    rooms.dedup();
    let mut named: Vec<_> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    named.sort();
    assert_eq!(rooms, named);
    let map = fs::read_to_string(project().join("src/lib.rs")).unwrap();
    for room in named {
        assert!(map.contains(&format!("pub mod {room};")), "src/lib.rs lacks {room}");
    }
}

#[test]
fn planted_violations_are_found() {
    for (room, code) in [
        ("model", "use crate::host::Host;"),
        ("model", "fn f() { crate::reserve::profile(\"eks\"); }"),
        ("reserve", "use crate::{model::Bytes, host};"),
        ("reserve", "fn f() -> std::time::Instant { std::time::Instant::now() }"),
        ("reserve", "use std::fs;"),
        ("settings", "type T = crate::kubelet::Rules;"),
        ("kubelet", "fn f() { println!(\"{}\", crate::settings::Merged::default().x); }"),
        ("sample", "mod inner { use super::super::agent::Settings; }"),
        ("agent", "fn f(x: impl Into<crate::cli::Args>) {}"),
        ("host", "use node_steward::sample::machine;"),
        ("model", "fn f() { vec![tokio::spawn(async {})]; }"),
    ] {
        assert!(!violations(room, code).is_empty(), "{room}: {code}");
    }
    for (room, code) in [
        ("kubelet", "use crate::{host::Host, model::Node};"),
        ("reserve", "use super::{Input, brackets}; use crate::model::Bytes;"),
        ("host", "fn f() { std::fs::read(\"x\"); }"),
    ] {
        assert_eq!(violations(room, code), Vec::<String>::new(), "{room}: {code}");
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut found = Vec::new();
    let folders = ["src", "tests", "benches"].map(|folder| project().join(folder));
    for file in folders.iter().filter(|folder| folder.is_dir()).flat_map(|folder| sources(folder)) {
        let code = fs::read_to_string(&file).unwrap();
        if !code.starts_with("//! ") {
            found.push(format!("{}: does not start with //!", file.display()));
        }
        let tests_start = code.find("#[cfg(test)]").unwrap_or(code.len());
        let lines = code[..tests_start].lines().count();
        if lines > MOST_LINES {
            found.push(format!("{}: {lines} lines without tests, at most {MOST_LINES}", file.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn host_paths_are_not_opened_behind_the_door() {
    // clippy.toml bans the functions; this holds that nobody but the door allows itself to use them.
    let mut allowed = BTreeMap::new();
    for file in sources(&project().join("src")) {
        let code = fs::read_to_string(&file).unwrap();
        // A file's own tests may make the files that it reads.
        let count = code[..code.find("#[cfg(test)]").unwrap_or(code.len())].matches("allow(clippy::disallowed").count();
        if count > 0 {
            allowed.insert(room_of(&file).unwrap_or_default(), count);
        }
    }
    assert_eq!(allowed.keys().map(String::as_str).collect::<Vec<_>>(), ["host"], "{allowed:?}");
}
