//! Where a validator listens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a validator listens for its signer: CometBFT's `priv_validator_laddr`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `tcp://host:port`, encrypted with SecretConnection.
    Tcp(HostPort),
    /// `unix://path`, as it is.
    Unix(PathBuf),
}

/// A host name or IP address, and a port other than 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Without a scheme it is not clear whether the connection is to be encrypted.
    #[error("validator address {0:?} has no scheme: write tcp://{0} or unix:///path/to/socket")]
    NoScheme(String),
    /// Known, but not spoken here.
    #[error(
        "validator address {0:?}: noise:// is not in this version; \
         use tcp:// (within a private network or tunnel) or unix://"
    )]
    Noise(String),
    /// Neither tcp nor unix.
    #[error(
        "validator address {address:?} has the unknown scheme {scheme}://; use tcp:// or unix://"
    )]
    UnknownScheme {
        /// The whole address.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// `tcp://` without a host and a port from 1 to 65535.
    #[error(
        "validator address {0:?} is not of the form tcp://host:port, with a port from 1 to 65535"
    )]
    HostPort(String),
    /// `unix://` without a path.
    #[error("validator address {0:?} names no socket file: write unix:///path/to/socket")]
    NoPath(String),
}

impl HostPort {
    /// Host name, or IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// An IPv6 address stands in brackets, as in a URL.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']')?;
                inner.parse::<std::net::Ipv6Addr>().ok()?;
                inner
            }
            None if host.contains(':') => return None,
            None => host,
        };
        let printable = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '@' | '?' | '#');
        if host.is_empty() || (!host.contains(':') && !host.chars().all(printable)) {
            return None;
        }
        Some(Self { host: host.to_owned(), port })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let owned = || text.to_owned();
        match text.split_once("://") {
            None => Err(AddressError::NoScheme(owned())),
            Some(("tcp", rest)) => {
                HostPort::parse(rest).map(Self::Tcp).ok_or_else(|| AddressError::HostPort(owned()))
            }
            Some(("unix", "")) => Err(AddressError::NoPath(owned())),
            Some(("unix", path)) => Ok(Self::Unix(PathBuf::from(path))),
            Some(("noise", _)) => Err(AddressError::Noise(owned())),
            Some((scheme, _)) => {
                Err(AddressError::UnknownScheme { address: owned(), scheme: scheme.to_owned() })
            }
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host_port) => write!(f, "tcp://{host_port}"),
            Self::Unix(path) => write!(f, "unix://{}", Path::display(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "tcp://10.0.0.1:26659",
            "tcp://validator.internal:1",
            "tcp://[fd00::1]:26659",
            "unix:///run/cometbft/privval.sock",
            "unix://relative.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_to_write_instead() {
        let refusal = |text: &str| text.parse::<Address>().unwrap_err();
        let bare = "10.0.0.1:26659";
        assert_eq!(refusal(bare), AddressError::NoScheme(bare.to_owned()));
        assert!(refusal(bare).to_string().contains("tcp://10.0.0.1:26659"));
        let noise = "noise://12D3KooW@10.0.0.1:26659";
        assert_eq!(refusal(noise), AddressError::Noise(noise.to_owned()));
        assert!(refusal(noise).to_string().contains("not in this version"));
        assert_eq!(refusal("unix://"), AddressError::NoPath("unix://".to_owned()));
        assert!(matches!(refusal("http://a:1"), AddressError::UnknownScheme { .. }));
    }

    #[test]
    fn refuses_every_malformed_host_and_port() {
        for text in [
            "tcp://",
            "tcp://host",
            "tcp://:1",
            "tcp://host:",
            "tcp://host:0",
            "tcp://host:65536",
            "tcp://fd00::1:26659",
            "tcp://[fd00::1]",
            "tcp://[host]:1",
            "tcp://a b:1",
            "tcp://id@host:1",
            "tcp://host:1/path",
        ] {
            let refused = text.parse::<Address>();
            assert_eq!(refused, Err(AddressError::HostPort(text.to_owned())), "{text}");
        }
    }
}
