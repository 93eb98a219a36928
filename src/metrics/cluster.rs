//! Metrics of the connection to the API server. It refuses addresses and names as labels: there is one server, and its state is a word.

use super::page::{Page, Type, as_f64};
use crate::model::cluster::{ApiServer, RequestStatus};
use crate::model::drain::{DrainState, PodStep};
use crate::model::status::Status;

use super::node::seconds_of;

const STATES: [&str; 4] = ["connected", "failing", "waiting", "local-only"];

pub(super) fn write(page: &mut Page, status: &Status) {
    let state = status.api_server.as_ref().map_or("local-only", |server| server.state.as_str());
    let mut states =
        page.family("api_server_state", Type::Gauge, "", "How the API server is reached: 1 for the state.");
    for one in STATES {
        states.sample(&[("state", one)], f64::from(u8::from(one == state)));
    }
    if let Some(server) = &status.api_server {
        requests(page, server);
        others(page, server);
        drain(page, server);
    }
}

fn requests(page: &mut Page, server: &ApiServer) {
    let mut requests = page.family(
        "api_server_requests",
        Type::Counter,
        "",
        "Requests to the API server, by what was asked and what came of it: ok, or the failure's name.",
    );
    for (kind, count) in &server.requests {
        requests.sample(&[("request", kind), ("outcome", "ok")], as_f64(count.good));
        for (name, failed) in &count.failed {
            requests.sample(&[("request", kind), ("outcome", name)], as_f64(*failed));
        }
    }
    let mut each = |name: &str, unit, help, of: fn(&RequestStatus) -> f64| {
        let mut family = page.family(name, Type::Counter, unit, help);
        server.requests.iter().for_each(|(kind, count)| family.sample(&[("request", kind)], of(count)));
    };
    each("api_server_answer_bytes", "bytes", "Bytes of the API server's answers.", |count| as_f64(count.bytes));
    each(
        "api_server_request_seconds",
        "seconds",
        "Time that requests to the API server took, all together.",
        |count| as_f64(count.ms) / 1000.0,
    );
}

fn drain(page: &mut Page, server: &ApiServer) {
    let help = "The drain that goes on, or the last one of this boot: 1 for its state.";
    let mut states = page.family("drain_state", Type::Gauge, "", help);
    if let Some(drain) = &server.drain {
        for state in DrainState::ALL.into_iter().filter(|state| *state != DrainState::Plan) {
            states.sample(&[("state", state.word())], f64::from(u8::from(state == drain.state)));
        }
    }
    let mut pods = page.family("drain_pods", Type::Gauge, "", "Pods of that drain, by how far they are.");
    if let Some(drain) = &server.drain {
        for step in PodStep::ALL {
            pods.sample(&[("step", step.word())], as_f64(u64::try_from(drain.count(step)).unwrap_or(u64::MAX)));
        }
    }
}

fn others(page: &mut Page, server: &ApiServer) {
    for (name, count, help) in [
        (
            "api_server_requests_held_back",
            server.held_back,
            "Requests that were not sent because the API server is left alone for a while.",
        ),
        (
            "api_server_connection_pools",
            server.pools,
            "Pools of connections that were begun: at the start, and when a credential or an address changed.",
        ),
        ("credential_plugin_runs", server.plugins, "Credential plugins that were run as programs."),
        ("credential_tokens_made", server.tokens, "Tokens for EKS that were made without a program."),
    ] {
        page.family(name, Type::Counter, "", help).sample(&[], as_f64(count));
    }
    page.family("events_waiting", Type::Gauge, "", "Reasons whose Event waits to be written.")
        .sample(&[], as_f64(server.events_waiting));
    if let Some(reported) = server.reported_wall_ms {
        let help = "When the Node's conditions were written last, seconds since 1970.";
        page.family("last_report_time_seconds", Type::Gauge, "seconds", help).sample(&[], seconds_of(reported));
    }
}
