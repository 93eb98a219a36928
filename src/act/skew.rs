//! Whether API server and kubelet are of versions that Kubernetes supports together. Pure. It refuses to guess: what is no version is not judged.

use crate::model::version::KubeletVersion;

/// A kubelet may be so many minor versions older than its server, from 1.25 on; before, one less.
const OLDER: u16 = 3;
const SINCE: KubeletVersion = KubeletVersion { major: 1, minor: 25 };

/// A sentence of advice; none where the two go together, or where one of them is not known.
pub fn advice(server: &str, kubelet: &str) -> Option<String> {
    let [theirs, ours] = [server, kubelet].map(|text| text.parse::<KubeletVersion>().ok());
    let (theirs, ours) = (theirs?, ours?);
    if theirs.major != ours.major {
        return Some(format!("kubelet {kubelet} and the API server {server} are not of one major version"));
    }
    let most = if ours < SINCE { OLDER - 1 } else { OLDER };
    let apart = theirs.minor.checked_sub(ours.minor);
    match apart {
        None => Some(format!(
            "kubelet {kubelet} is newer than its API server {server}, which is not supported: upgrade the control plane, or run nodes of {theirs} or older"
        )),
        Some(apart) if apart > most => Some(format!(
            "kubelet {kubelet} is {apart} minor versions older than its API server {server}, and {most} are supported: replace this node by one of {}.{} or newer",
            theirs.major,
            theirs.minor - most
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn three_minor_versions_older_and_none_newer() {
        for (server, kubelet) in [
            ("v1.36.2", "v1.36.0"),
            ("v1.36.2-eks-abc", "v1.33.9-eks-def"),
            ("v1.36.2", "v1.36.5"),
            ("v1.26.1+k3s1", "v1.24.0"),
            ("", "v1.30.0"),
            ("v1.36.2", ""),
            ("v1.36.2", "devel"),
        ] {
            assert_eq!(advice(server, kubelet), None, "{server} {kubelet}");
        }
        let said = |server: &str, kubelet: &str| advice(server, kubelet).unwrap();
        assert!(said("v1.36.2", "v1.32.11").contains("4 minor versions older"));
        assert!(said("v1.36.2", "v1.32.11").contains("one of 1.33 or newer"));
        assert!(said("v1.27.0", "v1.24.17").contains("and 2 are supported"));
        assert!(said("v1.35.1", "v1.36.0").contains("newer than its API server v1.35.1"));
        assert!(said("v2.0.0", "v1.36.0").contains("one major version"));
    }
}
