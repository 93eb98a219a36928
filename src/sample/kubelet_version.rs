//! kubelet's version: from a file baked into the image, else by running `kubelet --version` under a deadline.
//! It refuses to run anything where a file answers: a first read of kubelet's 60 MB from a fresh volume costs seconds.

use std::path::Path;
use std::time::Duration;

use super::text_file;
use crate::host::{Host, run};
use crate::model::{KubeletVersion, Reading};

/// Files that an image can bake; the first one that exists counts. nodeadm's images have the second.
pub const FILES: [&str; 3] =
    ["/etc/node-steward/kubelet-version", "/etc/eks/kubelet-version.txt", "/usr/lib/node-steward/kubelet-version"];
const PROGRAMS: [&str; 3] = ["/usr/bin/kubelet", "/usr/local/bin/kubelet", "/opt/bin/kubelet"];
const DEADLINE: Duration = Duration::from_secs(20);

/// Looks for the version.
pub fn read(host: &Host) -> Reading<KubeletVersion> {
    for file in FILES {
        match text_file(host, file, str::parse) {
            Reading::Absent { .. } => {}
            found => return found,
        }
    }
    let Some(program) = PROGRAMS.into_iter().map(Path::new).find(|program| host.exists(program)) else {
        return Reading::absent("no kubelet found, and no file that names its version");
    };
    if !host.is_real() {
        return Reading::absent(format!(
            "no version file ({}); programs are not run for another root",
            FILES.join(", ")
        ));
    }
    match run(host, program, &["--version"], DEADLINE) {
        Ok(finished) if finished.code == Some(0) => match finished.output.parse() {
            Ok(version) => Reading::fresh(version, format!("{} --version", program.display())),
            Err(why) => Reading::failed(format!("{} --version: {why}", program.display())),
        },
        Ok(finished) => Reading::failed(format!("{} --version ended with {:?}", program.display(), finished.code)),
        Err(error) => Reading::failed(error.to_string()),
    }
}
