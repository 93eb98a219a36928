//! The token for EKS: the signature against vectors that others published or made, and the metadata service against a stand-in on loopback, with
//! every way in which the real one fails to answer. It refuses to compare the signing crate with itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Plays the server, with a clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use node_steward::cluster::aws::{Eks, Presign, Role, presign};
use node_steward::cluster::{Issued, Secret};
use node_steward::model::time::Wall;
use stand_in::{ok, server};

mod stand_in;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn wall(text: &str) -> Wall {
    Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Name, path, headers, the session's token, the signature.
type Vector<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);

/// From the suite that AWS publishes for signers (aws-c-auth, `aws-signing-test-suite/v4/*/query-signature.txt`).
#[test]
fn the_published_suite_is_met() {
    let suite: [Vector<'_>; 6] = [
        ("get-vanilla", "/", &[], None, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"),
        (
            "get-vanilla-query-order-key-case",
            "/?Param2=value2&Param1=value1",
            &[],
            None,
            "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
        ),
        (
            "get-vanilla-query-unreserved",
            "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            &[],
            None,
            "8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf",
        ),
        (
            "get-vanilla-query-order-encoded",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            &[],
            None,
            "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
        ),
        (
            "get-header-value-trim",
            "/",
            &[("My-Header1", "value1"), ("My-Header2", "\"a   b   c\"")],
            None,
            "e7bb0fd515e125e1aec2ecc4c0c17484fb06f6846b927c35e46005dd3df3acd4",
        ),
        (
            "get-vanilla-with-session-token",
            "/",
            &[],
            Some("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"),
            "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c",
        ),
    ];
    for (name, path, headers, session, expected) in suite {
        let url = presign(&Presign {
            url: format!("https://example.amazonaws.com{path}"),
            headers,
            key: "AKIDEXAMPLE",
            secret: &Secret::new(SECRET),
            session: session.map(Secret::new).as_ref(),
            region: "us-east-1",
            service: "service",
            at: wall("2015-08-30T12:36:00Z"),
            expires_s: 3600,
        })
        .unwrap();
        assert!(url.contains(&format!("X-Amz-Signature={expected}")), "{name}: {url}");
    }
}

fn token_url(token: &Secret) -> String {
    let text = token.reveal().strip_prefix("k8s-aws-v1.").expect("the prefix");
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn sorted(url: &str) -> (String, Vec<String>) {
    let (head, query) = url.split_once('?').unwrap();
    let mut pairs: Vec<_> = query.split('&').map(str::to_owned).collect();
    pairs.sort();
    (head.to_owned(), pairs)
}

/// The expected addresses are what botocore 1.44.5 (the signer inside `aws eks get-token`) makes of the same role, cluster and moment.
#[test]
fn the_token_is_the_one_that_the_aws_program_makes() {
    let now = wall("2026-11-21T12:00:00Z");
    for (cluster, region, domain, session, expected) in [
        (
            "my-cluster",
            "eu-west-1",
            "amazonaws.com",
            Some("IQoJb3JpZ2luX2VjEXAMPLE/+=="),
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAEXAMPLE%2F20261121%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20261121T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-Token=IQoJb3JpZ2luX2VjEXAMPLE%2F%2B%3D%3D&X-Amz-Signature=ae4186058de561dfe21088ae2b2ea68e643943deb8434b5d8fb9d27822552275",
        ),
        (
            "c_2",
            "cn-north-1",
            "amazonaws.com.cn",
            None,
            "https://sts.cn-north-1.amazonaws.com.cn/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAEXAMPLE%2F20261121%2Fcn-north-1%2Fsts%2Faws4_request&X-Amz-Date=20261121T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=eb7971797208cde3562d3d27d7a7fef6acf5727c9eff0d3b1cae853e8e3b96b2",
        ),
    ] {
        let role = Role {
            key: "ASIAEXAMPLE".to_owned(),
            secret: Secret::new(SECRET),
            session: session.map(Secret::new),
            ends: wall("2026-11-21T18:00:00Z"),
            region: region.to_owned(),
            domain: domain.to_owned(),
        };
        let issued = Eks { cluster: cluster.to_owned(), region: None }.token_of(&role, now).unwrap();
        assert_eq!(sorted(&token_url(&issued.token.unwrap())), sorted(expected));
        assert_eq!(issued.ends, wall("2026-11-21T12:14:00Z"));
        let soon = Role { ends: wall("2026-11-21T12:05:00Z"), ..role.clone() };
        let issued = Eks { cluster: cluster.to_owned(), region: None }.token_of(&soon, now).unwrap();
        assert_eq!(issued.ends, soon.ends, "a token does not outlive its role");
        let over = Role { ends: now, ..role };
        assert!(Eks { cluster: cluster.to_owned(), region: None }.token_of(&over, now).is_err());
    }
}

fn credentials(code: &str, ends: &str) -> String {
    format!(
        r#"{{"Code":"{code}","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"{SECRET}","Token":"session","Expiration":"{ends}"}}"#
    )
}

/// A metadata service whose one page is replaced.
fn metadata(page: &'static str, instead: Option<String>) -> SocketAddr {
    server(move |request| {
        let request = request.to_lowercase();
        let path = request.split(' ').nth(1).unwrap_or_default();
        if !request.starts_with("put /latest/api/token ") && !request.contains("x-aws-ec2-metadata-token: secret-token")
        {
            return Some("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned());
        }
        if path.ends_with(page) {
            return instead.clone();
        }
        Some(ok(&match path {
            "/latest/api/token" => "secret-token".to_owned(),
            "/latest/meta-data/iam/security-credentials/" => "node-role".to_owned(),
            "/latest/meta-data/iam/security-credentials/node-role" => credentials("Success", "2099-01-01T00:00:00Z"),
            "/latest/meta-data/placement/region" => "eu-west-1".to_owned(),
            "/latest/meta-data/services/domain" => "amazonaws.com".to_owned(),
            _ => return Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()),
        }))
    })
}

fn token(eks: &Eks, addresses: &[SocketAddr], now: Wall) -> Result<Issued, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(eks.token(addresses, now))
}

fn eks() -> Eks {
    Eks { cluster: "my-cluster".to_owned(), region: None }
}

#[test]
fn the_role_comes_from_the_metadata_service() {
    let now = wall("2026-11-21T12:00:00Z");
    let address = metadata("/none", None);
    // Where the first address does not answer, the second is asked.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let issued = token(&eks(), &[nobody, address], now).unwrap();
    let url = token_url(&issued.token.unwrap());
    assert!(
        url.starts_with("https://sts.eu-west-1.amazonaws.com/?") && url.contains("X-Amz-Security-Token=session"),
        "{url}"
    );
    let elsewhere = token(&Eks { region: Some("us-east-2".to_owned()), ..eks() }, &[address], now).unwrap();
    assert!(token_url(&elsewhere.token.unwrap()).starts_with("https://sts.us-east-2.amazonaws.com/"));
}

#[test]
fn every_failure_is_a_reason_within_the_budget_and_shows_no_secret() {
    let now = wall("2026-11-21T12:00:00Z");
    let role = "/security-credentials/node-role";
    for (name, address, word) in [
        ("silent", server(|_| None), "did not answer"),
        ("refused", SocketAddr::from(([127, 0, 0, 1], 9)), "refused"),
        ("no role", metadata("/security-credentials/", Some(ok(""))), "role"),
        ("a proxy's page", metadata("/security-credentials/", Some(ok("<html>hello</html>"))), "role"),
        ("no json", metadata(role, Some(ok(&format!("oops {SECRET}")))), "make no sense"),
        ("failed", metadata(role, Some(ok(&credentials("Failed", "2099-01-01T00:00:00Z")))), "Failed"),
        ("no end", metadata(role, Some(ok(&credentials("Success", "soon")))), "no end"),
        ("ended", metadata(role, Some(ok(&credentials("Success", "2020-01-01T00:00:00Z")))), "ended"),
        ("no domain", metadata("/services/domain", Some(ok("evil.example/x"))), "domain"),
        ("silent later", metadata("/placement/region", None), "did not answer"),
        ("endless", metadata(role, Some(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(100_000)))), "IMDSv2"),
    ] {
        let start = Instant::now();
        let why = token(&eks(), &[address], now).unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(3500), "{name}: {:?}", start.elapsed());
        assert!(why.contains(word) && !why.contains(SECRET), "{name}: {why}");
    }
}
