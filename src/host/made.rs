//! Trees of files that unit tests make. It refuses to be part of the program.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Makes what is read.

use std::path::Path;

/// Writes a file beneath a directory, and the directories above it.
pub fn put(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}
