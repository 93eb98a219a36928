//! The binary: parse, run, print the error once, exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    node_steward::cli::run()
}
