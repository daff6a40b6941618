//! Where a validator listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::privval::noise::{PeerId, PeerIdError};

/// Where a validator listens for its signer: CometBFT's `priv_validator_laddr`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `tcp://host:port`, encrypted with SecretConnection.
    Tcp(HostPort),
    /// `unix://path`, as it is.
    Unix(PathBuf),
    /// `noise://peerid@ip:port`, encrypted, and both sides know whom they expect.
    Noise {
        /// The validator, which has to prove it.
        peer: PeerId,
        /// No name: CometBFT takes none there either.
        at: SocketAddr,
    },
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
    #[error(
        "validator address {0:?} has no scheme: write tcp://{tcp}, unix:///path/to/socket or noise://PEERID@{noise}",
        tcp = whole(.0, "host:port"), noise = whole(.0, "ip:port")
    )]
    NoScheme(String),
    /// None of the three.
    #[error(
        "validator address {address:?} has the unknown scheme {scheme}://; use tcp://, unix:// or noise://"
    )]
    UnknownScheme {
        /// The whole address.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// `noise://` without a peer id.
    #[error(
        "validator address {0:?} does not say which validator it is: write noise://PEERID@ip:port, with the \
         PEERID that `cometbft show-node-id --libp2p` prints on the validator"
    )]
    NoPeer(String),
    /// `noise://` with something else before the `@`.
    #[error(
        "validator address {address:?}: {peer:?} is no peer id: {source}. \
         `cometbft show-node-id --libp2p` prints it on the validator"
    )]
    Peer {
        /// The whole address.
        address: String,
        /// What stands in the place of the id.
        peer: String,
        /// Why it is none.
        source: PeerIdError,
    },
    /// `noise://` without an IP address and a port from 1 to 65535.
    #[error(
        "validator address {0:?} has to end with an IP address and a port from 1 to 65535, for example \
         noise://PEERID@10.0.0.1:26659 or noise://PEERID@[fd00::1]:26659; names are not looked up here"
    )]
    IpPort(String),
    /// `tcp://` without a host and a port from 1 to 65535.
    #[error(
        "validator address {0:?} is not of the form tcp://host:port, with a port from 1 to 65535"
    )]
    HostPort(String),
    /// `unix://` without a path.
    #[error("validator address {0:?} names no socket file: write unix:///path/to/socket")]
    NoPath(String),
}

/// What may follow a scheme: the text, if it is a host and a port, else what it should be.
fn whole<'t>(text: &'t str, form: &'t str) -> &'t str {
    if HostPort::parse(text).is_some() { text } else { form }
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
            Some(("noise", rest)) => parse_noise(rest, text),
            Some((scheme, _)) => {
                Err(AddressError::UnknownScheme { address: owned(), scheme: scheme.to_owned() })
            }
        }
    }
}

fn parse_noise(rest: &str, text: &str) -> Result<Address, AddressError> {
    let owned = || text.to_owned();
    let (peer, at) = rest.rsplit_once('@').ok_or_else(|| AddressError::NoPeer(owned()))?;
    if peer.is_empty() {
        return Err(AddressError::NoPeer(owned()));
    }
    let id = peer.parse().map_err(|source| {
        let (address, peer) = (owned(), peer.to_owned());
        AddressError::Peer { address, peer, source }
    })?;
    let at: Option<SocketAddr> = at.parse().ok();
    let at = at.filter(|at| at.port() != 0).ok_or_else(|| AddressError::IpPort(owned()))?;
    Ok(Address::Noise { peer: id, at })
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
            Self::Noise { peer, at } => write!(f, "noise://{peer}@{at}"),
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
            "noise://12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB@10.0.0.1:26659",
            "noise://12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB@[fd00::1]:26659",
            "noise://16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY@10.0.0.1:1",
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

    #[test]
    fn an_id_in_another_form_is_written_in_the_usual_one() {
        let usual = "noise://12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB@10.0.0.1:1";
        let address: Address = usual.parse().unwrap();
        let Address::Noise { peer, .. } = address else { panic!("{address}") };
        let cid = format!("noise://{}@10.0.0.1:1", crate::privval::noise::cid_in_base32(&peer));
        assert_eq!(cid.parse::<Address>().unwrap(), address);
    }

    #[test]
    fn says_what_is_missing_in_a_noise_address() {
        let refusal = |text: &str| text.parse::<Address>().unwrap_err();
        let id = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
        for text in ["noise://10.0.0.1:26659", "noise://@10.0.0.1:26659", "noise://"] {
            assert_eq!(refusal(text), AddressError::NoPeer(text.to_owned()));
            assert!(refusal(text).to_string().contains("show-node-id --libp2p"));
        }
        for at in [
            "10.0.0.1",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "validator.internal:26659",
            "fd00::1:1",
            "",
        ] {
            let text = format!("noise://{id}@{at}");
            assert_eq!(refusal(&text), AddressError::IpPort(text.clone()), "{at}");
        }
        // CometBFT's own node id, in hexadecimal, is the likely mistake.
        for peer in ["56475aa75463474c0285df5dbf2bcab73da65135", "12D3KooW", "x@y"] {
            let text = format!("noise://{peer}@10.0.0.1:1");
            assert!(
                matches!(refusal(&text), AddressError::Peer { peer: found, .. } if found == peer)
            );
        }
    }
}
