//! Where a KMS is asked, if not at the region's own address.

use crate::config::{AddressError, HostPort};

/// Why an endpoint was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL of HTTP.
    #[error("{0:?} is no URL: write https://host, https://host:port, or http:// on this machine")]
    Scheme(String),
    /// A user, perhaps with a password, which is not shown.
    #[error(
        "a URL with a user in it (user@host) is not taken; credentials are those of AWS, see its `profile`"
    )]
    User,
    /// `?` or `#`, which no endpoint has.
    #[error("{0:?} has a query or a fragment, which an endpoint has not; write https://host:port")]
    Query(String),
    /// The host or the port.
    #[error(transparent)]
    Host(AddressError),
    /// In the clear over a network.
    #[error(
        "{0:?} is not encrypted, and not on this machine: who listens on the way would see every request with its \
         credentials' signature, and could answer in the KMS's place. Write https://, or a loopback address"
    )]
    InTheClear(String),
}

/// Refuses everything but `https://`, and `http://` to this machine.
///
/// # Errors
/// [`EndpointError`].
pub(super) fn check_endpoint(url: &str) -> Result<(), EndpointError> {
    let (encrypted, rest) = match url.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(EndpointError::Scheme(url.to_owned())),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(EndpointError::User);
    }
    if authority.contains(['?', '#']) || path.contains(['?', '#']) {
        return Err(EndpointError::Query(url.to_owned()));
    }
    // After the bracket of an IPv6 address, or without one, a colon begins the port.
    let has_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let with_port = match (has_port, encrypted) {
        (true, _) => authority.to_owned(),
        (false, true) => format!("{authority}:443"),
        (false, false) => format!("{authority}:80"),
    };
    let host: HostPort = with_port.parse().map_err(EndpointError::Host)?;
    if encrypted || host.loopback().is_some() {
        return Ok(());
    }
    Err(EndpointError::InTheClear(url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_https_anywhere_and_http_on_this_machine() {
        for url in [
            "https://kms.us-east-1.amazonaws.com",
            "https://kms.example:4566/",
            "https://10.0.0.1",
            "https://[fd00::1]:8443",
            "http://127.0.0.1:4566",
            "http://localhost:4566/kms",
            "http://localhost",
            "http://[::1]",
            "http://[::1]:4566",
        ] {
            assert_eq!(check_endpoint(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn refuses_to_send_requests_in_the_clear() {
        for url in [
            "http://kms.example",
            "http://10.0.0.1:4566",
            "http://127.0.0.1.example:1",
            "http://localhost.example",
            "http://[fd00::1]:80",
            "http://[::ffff:127.0.0.1]:80",
        ] {
            let refused = check_endpoint(url);
            assert_eq!(refused, Err(EndpointError::InTheClear(url.to_owned())), "{url}");
        }
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for url in ["", "kms.example", "ftp://a", "HTTPS://a", "https:/a", "://a"] {
            assert_eq!(check_endpoint(url), Err(EndpointError::Scheme(url.to_owned())), "{url}");
        }
        for url in ["https://", "https:///a", "https://:443", "https://a:0", "https://0.0.0.0"] {
            assert!(matches!(check_endpoint(url), Err(EndpointError::Host(_))), "{url}");
        }
        for url in ["https://a?b", "https://a/b?c", "https://a/#b", "http://127.0.0.1#@b"] {
            assert!(check_endpoint(url).is_err(), "{url}");
        }
    }

    #[test]
    fn never_shows_what_may_be_a_password() {
        let refused = check_endpoint("https://user:secret@kms.example").unwrap_err();
        assert_eq!(refused, EndpointError::User);
        assert!(!refused.to_string().contains("secret"));
        // A loopback name in front of the @ is not the host.
        assert_eq!(check_endpoint("http://127.0.0.1@kms.example"), Err(EndpointError::User));
    }
}
