//! What AWS says, in one line: its own word for it, and what to do.

use std::error::Error;
use std::time::Instant;

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use super::wallet::Wallet;
use crate::backend::KeyFault;

/// Most characters of a text from outside.
const LONGEST: usize = 200;

/// What kind of fault a code is.
enum Kind {
    Throttled,
    Credentials,
    NotFound,
    Unfit,
    Unreachable,
    Other,
}

/// The fault of a failed call.
pub(super) fn of<E>(error: &SdkError<E>, call: &str, begun: Instant, wallet: &Wallet) -> KeyFault
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let causes = || one_line(&wallet.redact(&causes(error)));
    match error {
        SdkError::TimeoutError(_) => KeyFault::NoAnswer { waited: begun.elapsed() },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            KeyFault::Unreachable(format!("{call}: no connection in time ({})", causes()))
        }
        SdkError::DispatchFailure(_) => KeyFault::Unreachable(format!("{call}: {}", causes())),
        SdkError::ServiceError(said) => {
            let code = said.err().code().map(one_line);
            let message = wallet.redact(said.err().message().unwrap_or_default());
            let status = said.raw().status().as_u16();
            answered(call, status, code.as_deref(), &one_line(&message))
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            let text = format!("{call}: HTTP {status} that is no answer of KMS ({})", causes());
            KeyFault::Other(text)
        }
        _ => KeyFault::Other(format!("{call}: {}", causes())),
    }
}

/// The fault that an error answer means.
fn answered(call: &str, status: u16, code: Option<&str>, message: &str) -> KeyFault {
    let (kind, advice) = meaning(status, code.unwrap_or_default());
    let code = code.unwrap_or("no error code");
    let mut text = format!("{call}: {code} (HTTP {status})");
    if !advice.is_empty() {
        text = format!("{text}: {advice}");
    }
    // What AWS says about a signature quotes the signed headers, a session token among them.
    let quotes = code.contains("Signature");
    if !message.is_empty() && !quotes {
        text = format!("{text}; it says: {message}");
    }
    match kind {
        Kind::Throttled => KeyFault::Throttled(text),
        Kind::Credentials => KeyFault::Credentials(text),
        Kind::NotFound => KeyFault::NotFound(text),
        Kind::Unfit => KeyFault::Unfit(text),
        Kind::Unreachable => KeyFault::Unreachable(text),
        Kind::Other => KeyFault::Other(text),
    }
}

/// Codes: "Common errors" and the errors of Sign and GetPublicKey in the KMS API reference.
fn meaning(status: u16, code: &str) -> (Kind, &'static str) {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "LimitExceededException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => (Kind::Throttled, THROTTLED),
        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => (
            Kind::Credentials,
            "they have ended: sign on again, they are looked for anew by themselves",
        ),
        "UnrecognizedClientException" | "InvalidClientTokenId" => {
            (Kind::Credentials, "AWS does not know this access key: look at it and at the region")
        }
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => (
            Kind::Credentials,
            "the secret key does not belong to the access key, or the clock is wrong",
        ),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => (
            Kind::Credentials,
            "allow kms:GetPublicKey and kms:Sign on this key, in IAM or in the key's policy",
        ),
        "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => {
            (Kind::Credentials, "the request came without them")
        }
        "NotFoundException" | "InvalidArnException" => {
            (Kind::NotFound, "look at `key_id`, region and account")
        }
        "DisabledException" => (Kind::Other, "the key is disabled: `aws kms enable-key`"),
        "KMSInvalidStateException" => (
            Kind::Other,
            "the key's state does not allow it (pending deletion or import): `aws kms describe-key`",
        ),
        "InvalidKeyUsageException" | "UnsupportedOperationException" => {
            (Kind::Unfit, "the key's spec must be that of its algorithm, and its usage SIGN_VERIFY")
        }
        _ => match status {
            429 => (Kind::Throttled, THROTTLED),
            401 | 403 => (Kind::Credentials, "KMS refuses this caller"),
            500..=599 => (Kind::Unreachable, "an error on the side of KMS, tried again by itself"),
            _ => (Kind::Other, ""),
        },
    }
}

const THROTTLED: &str = "this account's requests to KMS are above its quota: look what else uses it, or ask AWS for more";

/// The messages of an error and of what caused it.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// A text from outside: one line, of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
    let words: String = text.chars().map(printable).collect();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut kept: String = words.chars().take(LONGEST).collect();
    if kept.len() < words.len() {
        kept.push('…');
    }
    kept
}
