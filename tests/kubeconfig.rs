//! Finding a kubeconfig as kubelet's, on machines made of files. It refuses to look at the machine that it runs on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Writes those files.

use std::path::Path;

use node_steward::cluster::{Look, Material, PLACES, Secret, look};
use node_steward::host::Host;

fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let host = Host::new(root.path()).unwrap();
    (root, host)
}

fn config(user: &str) -> String {
    format!(
        "clusters: [{{name: a, cluster: {{server: 'https://a', certificate-authority-data: aGk=}}}}]\nusers: [{{name: b, user: {{{user}}}}}]"
    )
}

#[test]
fn the_usual_places_are_tried_in_order() {
    for (at, place) in PLACES.iter().enumerate() {
        let text = config(&format!("token: t{at}"));
        let later: Vec<_> = PLACES[at..].iter().map(|place| (*place, text.as_str())).collect();
        let (_root, host) = machine(&later);
        let Look::Found(found) = look(&host, None) else { panic!("{place}") };
        assert_eq!(found.from, Path::new(place));
    }
    let (_root, host) = machine(&[]);
    let Look::None(why) = look(&host, None) else { panic!() };
    assert!(why.contains(PLACES[4]), "{why}");
}

#[test]
fn what_was_asked_for_is_not_replaced() {
    let text = config("token: t");
    let (_root, host) = machine(&[(PLACES[0], &text)]);
    assert!(matches!(look(&host, Some(Path::new("/x"))), Look::Unusable(why) if why.contains("/x")));
}

#[test]
fn what_it_names_is_read_and_never_shown() {
    let text = config("client-certificate: c.pem, client-key: c.pem, tokenFile: /run/token");
    let (_root, host) = machine(&[(PLACES[0], &text), ("/var/lib/kubelet/c.pem", "PRIVATE"), ("/run/token", "abc\n")]);
    let Look::Found(found) = look(&host, None) else { panic!() };
    assert_eq!(found.token.as_ref().map(Secret::reveal), Some("abc"));
    assert!(!format!("{:?}", found.token).contains("abc"));
    assert!(!format!("{:?}", found.certificate.as_ref().unwrap().1).contains("PRIVATE"));
    // Through the pipe and back.
    let line = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Material>(&line).unwrap(), *found);
}

#[test]
fn what_is_missing_is_named() {
    for (user, word) in [
        ("tokenFile: /run/none", "/run/none"),
        ("client-certificate: gone.pem", "gone.pem"),
        ("token: 'two words'", "more than one word"),
    ] {
        let text = config(user);
        let (_root, host) = machine(&[(PLACES[1], &text)]);
        let Look::Unusable(why) = look(&host, None) else { panic!("{user}") };
        assert!(why.contains(word) && why.contains(PLACES[1]), "{why}");
    }
}
