//! How a link ends, in the words of both logs and of the status that the other side gets.

use tonic::{Code, Status};

use super::tls;
use super::wire::{WireError, clean};

/// Longest reason that another side's words are given room for, in bytes.
const MAX_REASON_BYTES: usize = 512;

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ending {
    #[error("the stream ended")]
    Ended,
    #[error("{0}")]
    Broken(String),
    #[error("it sent nonsense: {0}")]
    Nonsense(WireError),
    #[error("it does not read what it is sent")]
    NotReading,
    #[error("a newer stream of the same member has taken over")]
    Replaced,
    #[error("closed here")]
    Closed,
    #[error("this cosigner stops")]
    Stopping,
    #[error("{0}")]
    Greeting(String),
}

impl Ending {
    /// What the other side is told.
    pub(super) fn status(&self) -> Status {
        let code = match self {
            Self::Nonsense(_) => Code::InvalidArgument,
            Self::NotReading => Code::ResourceExhausted,
            Self::Replaced => Code::Aborted,
            Self::Stopping => Code::Unavailable,
            Self::Greeting(_) => Code::FailedPrecondition,
            Self::Ended | Self::Broken(_) | Self::Closed => Code::Cancelled,
        };
        Status::new(code, self.to_string())
    }
}

/// A status for people: what broke underneath, else what the other side says.
pub(super) fn describe(status: &Status) -> String {
    let text = match std::error::Error::source(status) {
        Some(source) => format!("the connection broke: {}", root_cause(source)),
        None => status.message().to_owned(),
    };
    clean(&text, MAX_REASON_BYTES)
}

/// The innermost of nested errors: the outer ones only say that something went wrong.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    loop {
        if let Some(error) = innermost.downcast_ref::<std::io::Error>() {
            return tls::explain(error);
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => return innermost.to_string(),
        }
    }
}
