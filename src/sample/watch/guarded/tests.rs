//! Looks that are answered, refused or stuck, and what becomes of them in the samples.

use super::*;

fn samples() -> Samples {
    let mut mounts = Vec::new();
    super::super::mounts::parse(
        "1 0 259:1 / / rw - xfs /dev/a rw\n2 1 259:1 /var/x /var/lib/kubelet/pods/u/volume-subpaths/y rw - xfs /dev/a rw\n\
         3 1 0:20 / /proc rw - proc proc rw\n4 1 259:2 / /var/lib/kubelet rw - ext4 /dev/b rw\n5 1 259:3 / /data rw - ext4 /dev/c rw\n\
         6 1 0:50 / /nfs rw - nfs4 host:/x rw\n7 1 7:0 / /snap/x ro - squashfs /dev/loop0 ro\n8 1 0:51 / /f rw - fuse.sshfs x rw\n",
        &mut mounts,
    )
    .unwrap();
    Samples { mounts: Sampled::at(Mono(1), Reading::fresh(mounts, "test")), ..Samples::default() }
}

#[test]
fn one_look_a_file_system_and_none_twice_at_a_time() {
    let samples = samples();
    let mut pending = Pending::new("/var/lib/kubelet");
    let due = pending.due(&samples, Mono(1000), Wants::default());
    let paths: Vec<_> = due
        .iter()
        .filter_map(|r| match r {
            Request::Look { path, .. } => Some(path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(&paths[..2], ["/", "/var/lib/kubelet"]);
    assert_eq!(&paths[7..], ["/data", "/f", "/nfs"]);
    assert!([Request::Thresholds, Request::PodNames, Request::Containers].iter().all(|one| due.contains(one)));
    assert!(pending.due(&samples, Mono(100_000), Wants::default()).is_empty(), "all are outstanding");
    let data = Request::Look { path: "/data".to_owned(), role: "mount".to_owned() };
    pending.stuck(&data, 5000);
    let places = pending.take(KernelLog::default()).places.unwrap();
    let (stuck, others): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.path == "/data");
    assert_eq!(stuck[0].answer, Answer::Stuck { for_ms: 5000 });
    let unanswered = |place: &&Place| matches!(place.answer, Answer::NotAsked { .. });
    assert!(
        others.len() == 9 && others.iter().all(unanswered),
        "what is not answered yet is no less there: {others:?}"
    );
    assert_eq!(pending.take(KernelLog::default()).places, None, "nothing new");
    pending.answered(&data, Response::Looked(Answer::Missing));
    pending.answered(&due[0], Response::Looked(Answer::Missing));
    let again = pending.due(&samples, Mono(20_000), Wants::default());
    assert_eq!(again, [due[0].clone()], "others are asked less often");
    let wants = Wants { contributors: true, ..Wants::default() };
    assert!(pending.due(&samples, Mono(70_000), wants).contains(&data));
}

#[test]
fn what_is_unmounted_is_forgotten() {
    let mut samples = samples();
    let mut pending = Pending::new("/var/lib/kubelet");
    for request in pending.due(&samples, Mono(1), Wants::default()) {
        pending.not_asked(&request, "busy");
    }
    let before = pending.take(KernelLog::default()).places.unwrap();
    assert!(before.iter().any(|place| place.path == "/nfs"));
    samples.mounts = Sampled::at(Mono(2), Reading::failed("unreadable"));
    pending.due(&samples, Mono(2), Wants::default());
    assert_eq!(pending.take(KernelLog::default()).places, None, "an unreadable table says nothing");
    samples.mounts = Sampled::at(Mono(2), Reading::fresh(Vec::new(), "test"));
    pending.due(&samples, Mono(2), Wants::default());
    let after = pending.take(KernelLog::default()).places.unwrap();
    assert_eq!(after.len(), 7, "{after:?}");
}

#[test]
fn what_was_asked_before_something_was_mounted_is_asked_again_by_itself() {
    let samples = samples();
    let mut pending = Pending::new("/var/lib/kubelet");
    let due = pending.due(&samples, Mono(1000), Wants::default());
    let look = |path: &str, role: &str| Request::Look { path: path.to_owned(), role: role.to_owned() };
    // In one go, as long as all of it lay on /.
    let together = [look("/var/lib/kubelet", "kubelet"), look("/var/lib/containerd", "runtime")];
    assert!(together.iter().all(|one| due.contains(one)));
    pending.ask_apart(&together);
    let places = pending.take(KernelLog::default()).places.unwrap();
    assert!(places.iter().all(|place| matches!(place.answer, Answer::NotAsked { .. })), "{places:?}");
    assert_eq!(pending.due(&samples, Mono(1001), Wants::default()), together, "at once");
}

#[test]
fn what_reads_at_several_mount_points_is_asked_beside_the_looks_at_each() {
    let mut samples = samples();
    let more = "9 1 259:7 / /boot rw - ext4 /dev/d rw\n10 1 259:8 / /var/log rw - ext4 /dev/e rw\n";
    if let Reading::Fresh { value, .. } = &mut samples.mounts.reading {
        value.extend(more.lines().filter_map(super::super::mounts::parse_line));
    }
    let mounts = samples.mounts.value().unwrap();
    let due = Pending::new("/var/lib/kubelet").due(&samples, Mono(1), Wants::default());
    let look = |path: &str| due.iter().find(|one| matches!(one, Request::Look { path: at, .. } if at == path)).unwrap();
    assert_eq!((look("/").stuck_at(mounts), look("/boot").stuck_at(mounts)), ("/".to_owned(), "/boot".to_owned()));
    assert_eq!(Request::Image.stuck_at(mounts), "/ and /boot");
    assert_eq!(Request::Logging.stuck_at(mounts), "/ and /var/log");
    assert_eq!(Request::Journal.stuck_at(mounts), "/ and /var/log");
    assert_eq!(Request::PodNames.stuck_at(mounts), "/var/log");
}

#[test]
fn what_is_asked_once_an_hour_is_asked_sooner_where_nobody_answered() {
    let mut samples = samples();
    let mut pending = Pending::new("/var/lib/kubelet");
    let mut due = |samples: &Samples, at: u64| {
        let due = pending.due(samples, Mono(at), Wants::default());
        due.iter().for_each(|request| pending.not_asked(request, "busy"));
        due.contains(&Request::Thresholds)
    };
    assert!(due(&samples, 1000));
    samples.thresholds = Sampled::at(Mono(1000), Reading::fresh(Thresholds::default(), "made"));
    assert!(!due(&samples, 200_000));
    samples.thresholds = Sampled::at(Mono(200_000), Reading::failed("busy"));
    assert!(due(&samples, 210_000));
}

#[test]
fn requests_and_answers_cross_a_pipe() {
    let samples = samples();
    let mounts = samples.mounts.value().unwrap();
    for (request, at) in [
        (Request::Look { path: "/var/lib/kubelet/pods".to_owned(), role: "kubelet".to_owned() }, "/var/lib/kubelet"),
        (Request::Look { path: "/database".to_owned(), role: "mount".to_owned() }, "/"),
        (Request::PodNames, "/"),
        (Request::Containers, "the container runtime"),
        (Request::Nvme { controller: "nvme0".to_owned() }, "nvme0"),
        (Request::Thresholds, "/ and /var/lib/kubelet"),
        (Request::Image, "/"),
        (Request::Logging, "/"),
        (Request::Allowances, "the network interfaces"),
        (Request::Units, "systemd"),
        (Request::Journal, "/"),
    ] {
        assert_eq!(request.stuck_at(mounts), at);
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    }
    for response in [
        Response::Looked(Answer::Refused { errno: 5, why: "I/O error".to_owned() }),
        Response::PodNames(Reading::absent("none")),
        Response::Containers(Reading::fresh(Vec::new(), "r")),
        Response::Nvme(Pages::failed("x")),
        Response::Thresholds(Reading::fresh(Thresholds::default(), "y")),
        Response::Image(Reading::fresh(Image::default(), "z")),
        Response::Logging(Reading::fresh(Logging::default(), "z")),
        Response::Allowances(Reading::fresh(vec![Allowances::default()], "n")),
        Response::Units(Reading::fresh(vec![UnitState::default()], "u")),
        Response::Journal(Reading::fresh(Journal::default(), "z")),
    ] {
        let line = serde_json::to_string(&response).unwrap();
        assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), response, "{line}");
    }
}
