//! The instance metadata client against a stand-in on loopback: the two requests, and every way in which the real one fails to answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Plays the server, with a clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use node_steward::model::Reading;
use node_steward::sample::imds::{BUDGET, instance_type};
use stand_in::{ok, server};

mod stand_in;

#[test]
fn asks_for_a_token_and_then_for_the_type() {
    let address = server(|request| {
        let lower = request.to_lowercase();
        if request.starts_with("PUT /latest/api/token ") && lower.contains("x-aws-ec2-metadata-token-ttl-seconds: 60") {
            Some(ok("secret"))
        } else if request.starts_with("GET /latest/meta-data/instance-type ")
            && lower.contains("x-aws-ec2-metadata-token: secret")
        {
            Some(ok("m5.xlarge\n"))
        } else {
            Some("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_owned())
        }
    });
    assert_eq!(instance_type(address).value().map(String::as_str), Some("m5.xlarge"));
}

#[test]
fn every_failure_is_a_reason_within_the_budget() {
    for (name, address, word) in [
        ("silent", server(|_| None), "did not answer"),
        ("refused", SocketAddr::from(([127, 0, 0, 1], 9)), "refused"),
        ("no hop left", server(|_| Some("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned())), "401"),
        ("garbage", server(|_| Some("SSH-2.0-x\r\n\r\n".to_owned())), "IMDSv2"),
        ("page of a proxy", server(|_| Some(ok("<html>hello</html>"))), "instance type"),
        ("endless", server(|_| Some(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(100_000)))), "IMDSv2"),
        ("half", server(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nm5".to_owned())), "IMDSv2"),
    ] {
        let start = Instant::now();
        let answer = instance_type(address);
        assert!(start.elapsed() < BUDGET + Duration::from_millis(500), "{name}: {:?}", start.elapsed());
        match answer {
            Reading::Failed { why } => assert!(why.contains(word), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
