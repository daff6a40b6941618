//! Addresses of cosigners for each other. Those of validators are the `validator` room's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use crate::validator::Address as ValidatorAddress;

/// `host:port` to dial: a name or an IP, never "all interfaces".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `:port`.
    #[error("{0:?} has no port: write host:port, as in \"10.0.0.11:2222\" or \"[fd00::11]:2222\"")]
    NoPort(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?}: the port is not within 1 to 65535")]
    Port(String),
    /// No host before the port.
    #[error("{0:?} has no host: others must be able to dial it, write host:port")]
    NoHost(String),
    /// "All interfaces" can be listened on, not dialled.
    #[error(
        "{0:?} means every interface of a machine, nobody can dial it: write the address that the others reach"
    )]
    Unspecified(String),
    /// Neither a name nor an IP.
    #[error("{0:?}: the host is neither a name nor an IP address (IPv6 stands in brackets)")]
    Host(String),
    /// Not `ip:port`.
    #[error("{0:?} is no address to listen on: write ip:port, as in \"0.0.0.0:2222\"")]
    Listen(String),
}

impl HostPort {
    /// The host, in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The loopback IP that this address stands for, if it does.
    #[must_use]
    pub fn loopback(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        self.host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback)
    }

    /// What a cosigner at this address binds: the loopback address itself, else every interface of
    /// the address family.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        let every = match self.host.parse() {
            Ok(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        SocketAddr::new(self.loopback().unwrap_or(every), self.port)
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let given = || text.to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(|| AddressError::NoPort(given()))?;
        if port.is_empty() {
            return Err(AddressError::NoPort(given()));
        }
        // u16's own parser would take "+2222".
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port: u16 = port.parse().map_err(|_| AddressError::Port(given()))?;
        if port == 0 || !digits {
            return Err(AddressError::Port(given()));
        }
        if host.is_empty() {
            return Err(AddressError::NoHost(given()));
        }
        let host = checked_host(host, text)?;
        Ok(Self { host, port })
    }
}

fn checked_host(host: &str, text: &str) -> Result<String, AddressError> {
    let refused = || AddressError::Host(text.to_owned());
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip = match bracketed {
        Some(inner) => Some(IpAddr::V6(inner.parse().map_err(|_| refused())?)),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    if let Some(ip) = ip {
        // 2222:: written as an IPv4-mapped address is the same trap.
        if ip.to_canonical().is_unspecified() {
            return Err(AddressError::Unspecified(text.to_owned()));
        }
        return Ok(ip.to_string());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits is a misspelt IPv4 address, not a name.
    let name = host.strip_suffix('.').unwrap_or(host);
    let number = name.rsplit('.').next().is_none_or(|l| l.chars().all(|c| c.is_ascii_digit()));
    if name.len() > 253 || number || !name.split('.').all(label) {
        return Err(refused());
    }
    Ok(host.to_ascii_lowercase())
}

/// The same address with a relative socket path taken from `home`.
pub(super) fn within(address: ValidatorAddress, home: &Path) -> ValidatorAddress {
    match address {
        ValidatorAddress::Unix(path) => ValidatorAddress::Unix(home.join(path)),
        other @ (ValidatorAddress::Tcp(_) | ValidatorAddress::Noise { .. }) => other,
    }
}

/// Reads an address to bind.
///
/// # Errors
/// [`AddressError::Listen`].
pub(super) fn listen(text: &str) -> Result<SocketAddr, AddressError> {
    text.parse().map_err(|_| AddressError::Listen(text.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> AddressError {
        text.parse::<HostPort>().unwrap_err()
    }

    #[test]
    fn reads_names_and_both_kinds_of_ip() {
        for text in ["10.0.0.11:2222", "[fd00::11]:2222", "cosigner-1.example:1", "a:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("Node-1.Example:22".parse::<HostPort>().unwrap().host(), "node-1.example");
    }

    #[test]
    fn refuses_what_nobody_can_dial() {
        let own = |text: &str| text.to_owned();
        assert_eq!(refused("10.0.0.1"), AddressError::NoPort(own("10.0.0.1")));
        assert_eq!(refused("a:"), AddressError::NoPort(own("a:")));
        assert_eq!(refused(":2222"), AddressError::NoHost(own(":2222")));
        for text in ["0.0.0.0:2222", "[::]:2222", "[::ffff:0.0.0.0]:2222"] {
            assert_eq!(refused(text), AddressError::Unspecified(own(text)));
        }
        for text in ["a:0", "a:65536", "a:x", "a:+22"] {
            assert_eq!(refused(text), AddressError::Port(own(text)));
        }
        for text in ["fd00::11:2222", "10.0.0.256:1", "a b:1", "tcp://a:1", "-a:1", "a..b:1"] {
            assert_eq!(refused(text), AddressError::Host(own(text)));
        }
    }

    #[test]
    fn listens_on_the_same_loopback_address_or_on_every_interface() {
        let listen = |text: &str| text.parse::<HostPort>().unwrap().listen().to_string();
        assert_eq!(listen("127.0.0.5:2222"), "127.0.0.5:2222");
        assert_eq!(listen("localhost:2222"), "127.0.0.1:2222");
        assert_eq!(listen("[::1]:2222"), "[::1]:2222");
        assert_eq!(listen("10.0.0.1:2222"), "0.0.0.0:2222");
        assert_eq!(listen("[fd00::1]:2222"), "[::]:2222");
        assert_eq!(listen("example.org:2222"), "0.0.0.0:2222");
    }

    #[test]
    fn takes_relative_sockets_from_the_home() {
        let home = Path::new("/home/x");
        let relative: ValidatorAddress = "unix://run/a.sock".parse().unwrap();
        assert_eq!(within(relative, home), ValidatorAddress::Unix("/home/x/run/a.sock".into()));
        let absolute: ValidatorAddress = "unix:///run/a.sock".parse().unwrap();
        assert_eq!(within(absolute, home), ValidatorAddress::Unix("/run/a.sock".into()));
    }
}
