//! What came of a request that did not succeed, by name. It refuses to hide one kind of failure in another: who retries, and when, hangs on it.

use std::error::Error as StdError;

use kube::core::Status;
use kube::core::response::StatusDetails;

/// Why there is no answer, or no good one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401: the server does not know us. An expired certificate ends here.
    #[error("the API server does not accept our credential: {0}")]
    Unauthorized(String),
    /// 403: it knows us, and we may not.
    #[error("the API server forbids it: {0}")]
    Forbidden(String),
    /// 404.
    #[error("not found: {0}")]
    NotFound(String),
    /// 409: the object is no longer the one that was judged.
    #[error("somebody else was first: {0}")]
    Conflict(String),
    /// 409 on creation.
    #[error("it exists already: {0}")]
    AlreadyExists(String),
    /// 410: the resource version is too old to go on from.
    #[error("the resource version is too old: {0}")]
    Expired(String),
    /// 400, 405, 413, 415, 422: the request itself is wrong.
    #[error("the API server refuses the request ({code}): {message}")]
    Invalid {
        /// The HTTP status.
        code: u16,
        /// The server's sentence.
        message: String,
    },
    /// 429: by a PodDisruptionBudget (`cause` is `DisruptionBudget`), or because the server is busy.
    #[error("the API server asks for patience: {message}")]
    TooManyRequests {
        /// When to come back, where it says so.
        retry_after_ms: Option<u64>,
        /// The server's own word for why, where there is one.
        cause: Option<String>,
        /// The server's sentence.
        message: String,
    },
    /// No connection, a broken one, or a status from 500 on.
    #[error("the API server is not available: {message}")]
    Unavailable {
        /// The HTTP status, where there was one.
        code: Option<u16>,
        /// What went wrong.
        message: String,
    },
    /// No answer in time.
    #[error("the API server did not answer within {ms} ms")]
    Timeout {
        /// How long was waited.
        ms: u64,
    },
    /// The server is not who it should be, or refuses the handshake.
    #[error("TLS: {0}")]
    Tls(String),
    /// An answer that is none: not HTTP, not JSON, of another shape, or too large.
    #[error("the answer makes no sense: {0}")]
    Garbage(String),
    /// Nothing was sent: after a failure the server is left alone for a while.
    #[error("not sent: the API server is left alone for another {ms} ms")]
    HeldBack {
        /// How much longer.
        ms: u64,
    },
    /// Nothing was sent: there is no credential or no address yet.
    #[error("not sent: {0}")]
    NotReady(String),
}

impl Error {
    /// Its stable name, for metrics and decisions.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "Unauthorized",
            Self::Forbidden(_) => "Forbidden",
            Self::NotFound(_) => "NotFound",
            Self::Conflict(_) => "Conflict",
            Self::AlreadyExists(_) => "AlreadyExists",
            Self::Expired(_) => "Expired",
            Self::Invalid { .. } => "Invalid",
            Self::TooManyRequests { .. } => "TooManyRequests",
            Self::Unavailable { .. } => "Unavailable",
            Self::Timeout { .. } => "Timeout",
            Self::Tls(_) => "Tls",
            Self::Garbage(_) => "Garbage",
            Self::HeldBack { .. } => "HeldBack",
            Self::NotReady(_) => "NotReady",
        }
    }

    /// Whether the server itself may be unwell, or we are unwelcome: reasons to leave it alone for a while. A budget's 429 is about one pod.
    pub fn asks_for_distance(&self) -> bool {
        match self {
            Self::TooManyRequests { cause, .. } => cause.as_deref() != Some("DisruptionBudget"),
            // A 500 is about the request (several budgets for one pod, a webhook); 502 to 504 are about the server.
            Self::Unavailable { code, .. } => *code != Some(500),
            Self::Unauthorized(_) | Self::Timeout { .. } | Self::Tls(_) | Self::Garbage(_) => true,
            _ => false,
        }
    }

    /// From an answer whose status is no success.
    pub(super) fn of_answer(code: u16, retry_after_ms: Option<u64>, body: &[u8]) -> Self {
        let status = serde_json::from_slice::<Status>(body).ok();
        let said = status.as_ref().map(|status| status.message.clone()).filter(|said| !said.is_empty());
        let message = said.unwrap_or_else(|| format!("status {code} without a word"));
        let reason = status.as_ref().map_or("", |status| status.reason.as_str());
        let details = status.as_ref().and_then(|status| status.details.as_ref());
        match code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound(message),
            409 if reason == "AlreadyExists" => Self::AlreadyExists(message),
            409 => Self::Conflict(message),
            410 => Self::Expired(message),
            429 => Self::TooManyRequests {
                message: blocked(message, details),
                retry_after_ms: retry_after_ms.or_else(|| {
                    details.map(|details| u64::from(details.retry_after_seconds) * 1000).filter(|ms| *ms > 0)
                }),
                cause: details.and_then(|details| details.causes.first()).map(|cause| cause.reason.clone()),
            },
            400..=499 => Self::Invalid { code, message },
            500.. => Self::Unavailable { code: Some(code), message },
            _ => Self::Garbage(format!("status {code}, which nobody asked for")),
        }
    }

    /// From a failure on the way: the innermost cause names it, the chain is the sentence.
    pub(super) fn of_transport(error: &(dyn StdError + 'static), patience_ms: u64) -> Self {
        let mut words = Vec::new();
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls.to_string());
            }
            if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return Self::Garbage(cause.to_string());
            }
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
                return Self::Timeout { ms: patience_ms };
            }
            let word = cause.to_string();
            if words.last().is_none_or(|last: &String| !last.contains(&word)) {
                words.push(word);
            }
            // An I/O error hides what it wraps from `source`.
            let inner = io.and_then(|io| io.get_ref()).map(|inner| inner as &(dyn StdError + 'static));
            next = inner.or_else(|| cause.source());
        }
        Self::Unavailable { code: None, message: words.join(": ") }
    }
}

/// Which budget it is stands among the causes alone.
fn blocked(message: String, details: Option<&StatusDetails>) -> String {
    let causes = details.map_or(&[][..], |details| details.causes.as_slice());
    let said = causes.iter().map(|cause| cause.message.as_str()).filter(|said| !said.is_empty());
    std::iter::once(message.as_str()).chain(said).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_told_from_a_busy_server() {
        let budget =
            br#"{"kind":"Status","status":"Failure","message":"Cannot evict pod","reason":"TooManyRequests","code":429,
            "details":{"causes":[{"reason":"DisruptionBudget","message":"needs 2 healthy pods"}]}}"#;
        let error = Error::of_answer(429, None, budget);
        assert!(!error.asks_for_distance(), "{error:?}");
        assert_eq!(error.to_string(), "the API server asks for patience: Cannot evict pod needs 2 healthy pods");
        let busy = br#"{"kind":"Status","status":"Failure","message":"too many","code":429,"details":{"retryAfterSeconds":3}}"#;
        let error = Error::of_answer(429, None, busy);
        assert!(matches!(&error, Error::TooManyRequests { retry_after_ms: Some(3000), .. }), "{error:?}");
        assert!(error.asks_for_distance());
    }

    #[test]
    fn each_status_has_its_name() {
        for (code, name) in [
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (404, "NotFound"),
            (409, "Conflict"),
            (410, "Expired"),
            (422, "Invalid"),
            (429, "TooManyRequests"),
            (500, "Unavailable"),
            (503, "Unavailable"),
            (302, "Garbage"),
        ] {
            assert_eq!(Error::of_answer(code, None, b"<html>").name(), name, "{code}");
        }
        assert!(!Error::of_answer(500, None, b"").asks_for_distance());
        assert!(Error::of_answer(503, None, b"").asks_for_distance());
    }
}
