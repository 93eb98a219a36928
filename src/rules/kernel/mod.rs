//! The rules over the kernel's own lines: one file a rule, its patterns written from the kernel's format strings, which each file cites.
//! They refuse lines that only look alike.

pub(super) mod block_io;
pub(super) mod ext4;
pub(super) mod hung_task;
pub(super) mod oom;
pub(super) mod xfs;

#[cfg(test)]
mod formats;
#[cfg(test)]
mod tests;
