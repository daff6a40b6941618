//! In what a chain's validators differ beyond what their messages show.

use std::fmt;
use std::str::FromStr;

/// How the validators of one chain speak, as its operator says: it cannot be told from the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Which line of releases.
    pub version: Version,
    /// Whether v2's vote extensions without replay protection are signed: bytes of the application
    /// with nothing around them.
    pub non_rp_extensions: bool,
    /// Whether raw bytes are signed, and in which form.
    pub raw_bytes: RawBytes,
}

/// A line of CometBFT releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// v0.34 to v0.40, and v1.
    #[default]
    V1,
    /// v2: other encodings of secp256k1eth keys, extensions without replay protection.
    V2,
}

/// Raw bytes signed with a consensus key. What could be a vote, a proposal or an extension is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RawBytes {
    /// None.
    #[default]
    Off,
    /// `SignBytesRequest` of v1 and v2: the bytes as they are.
    SignBytes,
    /// Celestia's `SignRawBytesRequest`: with its prefix, chain and unique id.
    Celestia,
}

/// Not one of the words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {allowed}, found {found:?}")]
pub struct UnknownWord {
    /// The words.
    pub allowed: &'static str,
    /// What was found.
    pub found: String,
}

impl Version {
    /// The word of `cosigner.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl RawBytes {
    /// The word of `cosigner.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::SignBytes => "sign_bytes",
            Self::Celestia => "celestia",
        }
    }
}

impl FromStr for Version {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            other => {
                let allowed = "\"v1\" (v0.34 to v0.40 and v1) or \"v2\"";
                Err(UnknownWord { allowed, found: other.to_owned() })
            }
        }
    }
}

impl FromStr for RawBytes {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Off, Self::SignBytes, Self::Celestia]
            .into_iter()
            .find(|form| form.name() == text)
            .ok_or_else(|| UnknownWord {
                allowed: "\"off\", \"sign_bytes\" or \"celestia\"",
                found: text.to_owned(),
            })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for RawBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
