//! System calls that are not files: one trait, answered by the kernel or by a recording beneath the root.
//! The recording refuses to ask the machine that it is read on.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat;
use nix::sys::statvfs::{self, FsFlags, Statvfs};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use super::tape::Answered;
use crate::model::machine::Filesystem;
use crate::model::watch::{Answer, Dev, Space};

/// What only a system call can tell.
pub(super) trait Kernel: Send + Sync {
    /// The size of the file system that `path` lies on; nothing where the path does not exist.
    fn filesystem(&self, host: &Host, path: &Path) -> HostResult<Option<Filesystem>>;
    /// What is at a directory: device, room, or the error. May wait for a disk.
    fn look(&self, host: &Host, path: &Path) -> Answer;
    /// A log page of an NVMe controller such as `nvme0`. May wait for the device.
    fn nvme_page(&self, host: &Host, controller: &str, id: u8, length: u16) -> HostResult<Option<Vec<u8>>>;
}

/// The running kernel.
pub(super) struct Live;

impl Kernel for Live {
    fn filesystem(&self, host: &Host, path: &Path) -> HostResult<Option<Filesystem>> {
        let failed = |errno| HostError { act: "measure", path: path.to_owned(), reason: Reason::System(errno) };
        let file = match host.open(path, OFlag::O_PATH) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let size = statvfs::fstatvfs(file.as_fd()).map_err(failed)?;
        let block = size.fragment_size();
        Ok(Some(Filesystem {
            path: path.display().to_string(),
            total_bytes: size.blocks().saturating_mul(block),
            available_bytes: size.blocks_available().saturating_mul(block),
        }))
    }

    fn look(&self, host: &Host, path: &Path) -> Answer {
        let looked = || -> Result<Answer, Errno> {
            let file = host.open(path, OFlag::O_PATH)?;
            // First this: a file system that has shut down answers EIO here, and statvfs as if nothing were wrong.
            let facts = stat::fstat(file.as_fd())?;
            let space = space(&statvfs::fstatvfs(file.as_fd())?);
            Ok(Answer::Looked { dev: dev(facts.st_dev), space })
        };
        match looked() {
            Ok(answer) => answer,
            Err(Errno::ENOENT | Errno::ENOTDIR) => Answer::Missing,
            Err(errno) => refused(errno),
        }
    }

    fn nvme_page(&self, host: &Host, controller: &str, id: u8, length: u16) -> HostResult<Option<Vec<u8>>> {
        super::nvme::log_page(host, controller, id, length)
    }
}

fn space(size: &Statvfs) -> Space {
    let block = size.fragment_size();
    Space {
        total_bytes: size.blocks().saturating_mul(block),
        available_bytes: size.blocks_available().saturating_mul(block),
        inodes: size.files(),
        inodes_free: size.files_available(),
        read_only: size.flags().contains(FsFlags::ST_RDONLY),
    }
}

fn dev(number: u64) -> Dev {
    let part = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
    Dev { major: part(stat::major(number)), minor: part(stat::minor(number)) }
}

fn refused(errno: Errno) -> Answer {
    if errno == Errno::ENOENT {
        return Answer::Missing;
    }
    Answer::Refused { errno: errno as i32, why: errno.desc().to_owned() }
}

/// Answers kept in `.recorded/` beneath the root: `statvfs.json` holds by path
/// `{"totalBytes": N, "availableBytes": N, "inodes": N, "inodesFree": N, "readOnly": false, "dev": "259:1"}`, or `{"errno": 5}`, or
/// `{"stuckMs": 30000}`; `nvme/nvme0/d0.bin` and `smart.bin` hold log pages.
pub(super) struct Recorded;

const RECORDING: &str = "/.recorded/statvfs.json";

impl Recorded {
    /// What the topmost layer says about a path.
    fn entry(host: &Host, path: &Path) -> HostResult<Option<serde_json::Value>> {
        let recording = Path::new(RECORDING);
        let malformed =
            |what: String| HostError { act: "understand", path: recording.to_owned(), reason: Reason::Other(what) };
        for bytes in host.read_layers(recording)? {
            let mut layer = serde_json::Deserializer::from_slice(&bytes);
            let entry = layer.deserialize_map(Member(&path.to_string_lossy()));
            if let Some(entry) = entry.map_err(|error| malformed(error.to_string()))? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn answer(entry: &serde_json::Value) -> Result<Answer, String> {
        let number = |key: &str| entry.get(key).and_then(serde_json::Value::as_u64);
        if let Some(errno) = entry.get("errno").and_then(serde_json::Value::as_i64) {
            let errno = Errno::from_raw(i32::try_from(errno).map_err(|_| "errno is no error number")?);
            return Ok(refused(errno));
        }
        if let Some(for_ms) = number("stuckMs") {
            return Ok(Answer::Stuck { for_ms });
        }
        let lacks = |key: &str| format!("{RECORDING} lacks {key} there");
        let dev = entry.get("dev").and_then(serde_json::Value::as_str).ok_or_else(|| lacks("dev"))?;
        Ok(Answer::Looked {
            dev: dev.parse()?,
            space: Space {
                total_bytes: number("totalBytes").ok_or_else(|| lacks("totalBytes"))?,
                available_bytes: number("availableBytes").ok_or_else(|| lacks("availableBytes"))?,
                inodes: number("inodes").unwrap_or(0),
                inodes_free: number("inodesFree").unwrap_or(0),
                read_only: entry.get("readOnly").and_then(serde_json::Value::as_bool).unwrap_or(false),
            },
        })
    }
}

/// One member of an object, by its name: the others, of which a large node has hundreds, are passed over.
struct Member<'a>(&'a str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<serde_json::Value>;

    fn expecting(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.write_str("an object of paths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl Kernel for Recorded {
    fn filesystem(&self, host: &Host, path: &Path) -> HostResult<Option<Filesystem>> {
        let Some(size) = Self::entry(host, path)? else { return Ok(None) };
        let name = path.display().to_string();
        if let Some(errno) = size.get("errno").and_then(serde_json::Value::as_i64) {
            let errno = Errno::from_raw(i32::try_from(errno).unwrap_or(0));
            let failed = HostError { act: "measure", path: path.to_owned(), reason: Reason::System(errno) };
            return if errno == Errno::ENOENT { Ok(None) } else { Err(failed) };
        }
        let number = |key: &str| {
            size.get(key).and_then(serde_json::Value::as_u64).ok_or_else(|| HostError {
                act: "understand",
                path: RECORDING.into(),
                reason: Reason::Other(format!("{name}.{key} is not a number")),
            })
        };
        Ok(Some(Filesystem {
            total_bytes: number("totalBytes")?,
            available_bytes: number("availableBytes")?,
            path: name,
        }))
    }

    fn look(&self, host: &Host, path: &Path) -> Answer {
        match Self::entry(host, path) {
            Ok(Some(entry)) => Self::answer(&entry).unwrap_or_else(|why| Answer::NotAsked { why }),
            Ok(None) if host.exists(path) => {
                Answer::NotAsked { why: format!("{RECORDING} says nothing about {}", path.display()) }
            }
            Ok(None) => Answer::Missing,
            Err(error) => Answer::NotAsked { why: error.to_string() },
        }
    }

    fn nvme_page(&self, host: &Host, controller: &str, id: u8, length: u16) -> HostResult<Option<Vec<u8>>> {
        let name = super::nvme::page_name(id);
        let path = format!("/.recorded/nvme/{controller}/{name}.bin");
        host.read(Path::new(&path), u64::from(length))
    }
}

impl Host {
    /// The size of the file system that `path` lies on; nothing where the path does not exist.
    pub fn filesystem(&self, path: &Path) -> HostResult<Option<Filesystem>> {
        self.kernel.filesystem(self, path)
    }

    /// What is at a directory. This may wait for a disk for ever: only a probe child, or a recording, asks it.
    pub fn look(&self, path: &Path) -> Answer {
        let answer = self.kernel.look(self, path);
        self.taped(path, || Some(Answered::Looked(answer.clone())));
        answer
    }

    /// A log page of an NVMe controller; nothing where it has none. This may wait for the device: only a probe child, or a recording, asks it.
    pub fn nvme_page(&self, controller: &str, id: u8, length: u16) -> HostResult<Option<Vec<u8>>> {
        let page = self.kernel.nvme_page(self, controller, id, length);
        if let Ok(Some(bytes)) = &page {
            let path = format!("/.recorded/nvme/{controller}");
            self.taped(Path::new(&path), || Some(Answered::Page { id, bytes: bytes.clone() }));
        }
        page
    }
}
