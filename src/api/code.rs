//! The one list of error codes: public interface. It refuses an answer that is not JSON.

use hyper::StatusCode;
use serde_json::json;

use super::request::{Answer, json_answer};

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not what the endpoint takes.
    BadJson,
    /// The body is larger than 64 KiB.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTooSlow,
    /// Whoever asks may not.
    Forbidden,
    /// There is no such path.
    UnknownPath,
    /// The path is there, the method is not.
    WrongMethod,
    /// There was no full look at the node yet.
    NotReady,
    /// The turns are late.
    TurnsLate,
    /// The new settings are wrong; the old ones stay.
    SettingsRefused,
    /// The cordon is another's, or a person has touched it since.
    HeldByAnother,
    /// Somebody else works on the node, or its owner has told us to stay away.
    StandsDown,
    /// The agent works alone: no kubeconfig, or it was told not to use one.
    NoCluster,
    /// The API server did not do it: it was not to be reached, or said no.
    ClusterFailed,
    /// There was no drain in this boot.
    NoDrain,
    /// A drain goes on already, by other rules than those that are asked for.
    DrainGoesOn,
    /// As many problems are reported as may be at a time.
    TooMany,
    /// A mistake of node-steward's own.
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::BadJson,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::Forbidden,
        Self::UnknownPath,
        Self::WrongMethod,
        Self::NotReady,
        Self::TurnsLate,
        Self::SettingsRefused,
        Self::HeldByAnother,
        Self::StandsDown,
        Self::NoCluster,
        Self::ClusterFailed,
        Self::NoDrain,
        Self::DrainGoesOn,
        Self::TooMany,
        Self::Internal,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::Forbidden => "forbidden",
            Self::UnknownPath => "unknown_path",
            Self::WrongMethod => "wrong_method",
            Self::NotReady => "not_ready",
            Self::TurnsLate => "turns_late",
            Self::SettingsRefused => "settings_refused",
            Self::HeldByAnother => "held_by_another",
            Self::StandsDown => "stands_down",
            Self::NoCluster => "no_cluster",
            Self::ClusterFailed => "cluster_failed",
            Self::NoDrain => "no_drain",
            Self::DrainGoesOn => "drain_goes_on",
            Self::TooMany => "too_many",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadJson => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::UnknownPath | Self::NoDrain => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotReady | Self::TurnsLate | Self::NoCluster | Self::ClusterFailed => StatusCode::SERVICE_UNAVAILABLE,
            Self::HeldByAnother | Self::StandsDown | Self::DrainGoesOn => StatusCode::CONFLICT,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::SettingsRefused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer: the code and a sentence.
    pub(super) fn answer(self, message: &str) -> Answer {
        json_answer(self.status(), &json!({"code": self.word(), "message": message}))
    }
}
