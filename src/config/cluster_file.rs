//! `cluster.toml`: the member list as a file, the same bytes on every node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use toml::Spanned;

use crate::types::{
    Algorithm, CertificatePin, Cluster, ClusterKey, Member, MemberId, Threshold, ThresholdError,
};

use super::read::{Bytes32, Chain, Id, Parsed, PublicKeyText};
use super::text::{line_of, quoted};
use super::{ConfigError, HostPort};

/// The only format there is.
const VERSION: u64 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u64>,
    serial: u64,
    #[serde(default)]
    member: Vec<RawMember>,
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    id: Id,
    address: Parsed<HostPort>,
    certificate: Parsed<Pin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    chain_id: Chain,
    /// Ed25519 where nothing is said.
    algorithm: Option<Parsed<Algorithm>>,
    public_key: Spanned<Parsed<PublicKeyText>>,
    threshold: Option<Spanned<u16>>,
    #[serde(default = "first")]
    generation: u32,
    #[serde(default)]
    verifying_shares: BTreeMap<Id, Parsed<Bytes32>>,
}

/// A whole key has no shares, and so no later generation.
const fn first() -> u32 {
    1
}

struct Pin([u8; 32]);

#[derive(Debug, thiserror::Error)]
#[error("a certificate is pinned as \"sha256:\" and 64 hex digits, found {0:?}")]
struct PinError(String);

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let mut pin = [0; 32];
        let hex = text.strip_prefix("sha256:").ok_or_else(|| PinError(text.to_owned()))?;
        hex::decode_to_slice(hex, &mut pin).map_err(|_| PinError(text.to_owned()))?;
        Ok(Self(pin))
    }
}

/// Reads the member list at `file`.
///
/// # Errors
/// [`ConfigError`] names file, line and what to do.
pub fn read_cluster(file: &Path) -> Result<Cluster, ConfigError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| ConfigError::from_io(file, source))?;
    parse_cluster(&text, file)
}

/// Reads the text of a member list; `file` is for the errors.
///
/// # Errors
/// [`ConfigError`].
pub fn parse_cluster(text: &str, file: &Path) -> Result<Cluster, ConfigError> {
    let raw: File =
        toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
    if *raw.version.get_ref() != VERSION {
        let line = line_of(text, raw.version.span().start);
        let found = raw.version.into_inner();
        return Err(ConfigError::Version { file: file.to_owned(), line, found });
    }
    let members: Vec<Member> = raw
        .member
        .into_iter()
        .map(|member| Member {
            id: member.id.0,
            address: member.address.0.to_string(),
            certificate: CertificatePin(member.certificate.0.0),
        })
        .collect();
    let mut keys = Vec::new();
    for key in raw.key {
        keys.push(cluster_key(key, members.len(), text, file)?);
    }
    Cluster::new(raw.serial, members, keys)
        .map_err(|source| ConfigError::Cluster { file: file.to_owned(), source })
}

fn cluster_key(
    raw: RawKey,
    members: usize,
    text: &str,
    file: &Path,
) -> Result<ClusterKey, ConfigError> {
    let algorithm = raw.algorithm.map_or(Algorithm::Ed25519, |algorithm| algorithm.0);
    let line = line_of(text, raw.public_key.span().start);
    let refused = |source| ConfigError::PublicKey { file: file.to_owned(), line, source };
    let public_key = raw.public_key.into_inner().0.of(algorithm).map_err(refused)?;
    let threshold = match raw.threshold {
        None => None,
        Some(t) => {
            // I6: a threshold with 2t ≤ n is refused wherever it appears.
            let n = u16::try_from(members).unwrap_or(u16::MAX);
            let line = line_of(text, t.span().start);
            let refused = |source: ThresholdError| ConfigError::Threshold {
                file: file.to_owned(),
                line,
                source,
            };
            Some(Threshold::new(t.into_inner(), n).map_err(refused)?)
        }
    };
    let verifying_shares =
        raw.verifying_shares.into_iter().map(|(id, share)| (id.0, share.0.0)).collect();
    Ok(ClusterKey {
        chain: raw.chain_id.0,
        public_key,
        threshold,
        generation: raw.generation,
        verifying_shares,
    })
}

/// The text of a member list: the same list gives the same bytes.
#[must_use]
pub fn render_cluster(cluster: &Cluster) -> String {
    let mut text = String::from(
        "# The members of this cluster, the same bytes on every node. Written by `cosigner split-key` or `cosigner init`, never by hand:\n\
         # its hashes (addresses apart) are sealed in keys/ and compared by all members.\n",
    );
    // Writing to a String does not fail.
    let _ = writeln!(text, "version = {VERSION}\nserial = {}", cluster.serial());
    for member in cluster.members().values() {
        let _ = writeln!(
            text,
            "\n[[member]]\nid = {}\naddress = {}\ncertificate = \"sha256:{}\"",
            member.id,
            quoted(&member.address),
            hex::encode(member.certificate.0)
        );
    }
    for key in cluster.keys().values() {
        render_key(&mut text, key);
    }
    text
}

fn render_key(text: &mut String, key: &ClusterKey) {
    let _ = writeln!(
        text,
        "\n[[key]]\nchain_id = {}\npublic_key = \"{}\"",
        quoted(key.chain.as_str()),
        BASE64.encode(key.public_key.as_bytes())
    );
    let algorithm = key.public_key.algorithm();
    if algorithm != Algorithm::Ed25519 {
        let _ = writeln!(text, "algorithm = \"{algorithm}\"");
    }
    if let Some(threshold) = key.threshold {
        let share =
            |(id, share): (&MemberId, &[u8; 32])| format!("{id} = \"{}\"\n", BASE64.encode(share));
        let shares: String = key.verifying_shares.iter().map(share).collect();
        // A table of its own, which belongs to the [[key]] above it: TOML 1.0 has no inline table of
        // several lines.
        let _ = write!(
            text,
            "threshold = {}\ngeneration = {}\n\n[key.verifying_shares]\n{shares}",
            threshold.t(),
            key.generation
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ChainId, PublicKey};

    fn cluster() -> Cluster {
        let id = |id| MemberId::new(id).unwrap();
        let member = |n: u8| Member {
            id: id(u64::from(n)),
            address: format!("10.0.0.{n}:2222"),
            certificate: CertificatePin([n; 32]),
        };
        let key = ClusterKey {
            chain: ChainId::new("a\"b-4").unwrap(),
            public_key: PublicKey::ed25519([9; 32]),
            threshold: Some(Threshold::new(2, 3).unwrap()),
            generation: 1,
            verifying_shares: (1..=3).map(|n| (id(n), [n as u8; 32])).collect(),
        };
        Cluster::new(1, (1..=3).map(member).collect(), vec![key]).unwrap()
    }

    fn refusal(text: &str) -> String {
        parse_cluster(text, Path::new("cluster.toml")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_as_the_same_list() {
        let text = render_cluster(&cluster());
        let read = parse_cluster(&text, Path::new("cluster.toml")).unwrap();
        assert_eq!(read, cluster());
        assert_eq!(render_cluster(&read), text);
    }

    #[test]
    fn shares_are_a_table_of_their_own_and_the_inline_form_is_read_as_the_same_list() {
        let mut keys: Vec<ClusterKey> = cluster().keys().values().cloned().collect();
        keys.push(ClusterKey { chain: ChainId::new("b").unwrap(), ..keys[0].clone() });
        let members = cluster().members().values().cloned().collect();
        let two = Cluster::new(1, members, keys).unwrap();
        let text = render_cluster(&two);
        assert_eq!(text.matches("\n[key.verifying_shares]\n1 = \"").count(), 2, "{text}");
        // TOML 1.0: no line break inside { … }.
        assert!(!text.contains('{'), "{text}");
        // As lists were written before.
        let mut inline = String::new();
        for line in text.lines() {
            let share = line.starts_with(|first: char| first.is_ascii_digit());
            inline.push_str(&match line {
                "[key.verifying_shares]" => "verifying_shares = {\n".to_owned(),
                _ if share && line.starts_with('3') => format!("    {line},\n}}\n"),
                _ if share => format!("    {line},\n"),
                _ => format!("{line}\n"),
            });
        }
        let read = parse_cluster(&inline, Path::new("cluster.toml")).unwrap();
        assert_eq!(read, two);
        for chain in two.keys().keys() {
            assert_eq!(read.key_hash(chain), two.key_hash(chain));
        }
        assert_eq!(render_cluster(&read), text);
    }

    #[test]
    fn a_whole_key_of_another_algorithm_is_written_with_it_and_read_again() {
        for algorithm in Algorithm::ALL {
            let mut key = cluster().keys().values().next().unwrap().clone();
            let bytes = vec![2; algorithm.public_key_bytes()];
            key.public_key = PublicKey::new(algorithm, bytes).unwrap();
            (key.threshold, key.verifying_shares) = (None, BTreeMap::new());
            let members = cluster().members().values().cloned().collect();
            let whole = Cluster::new(1, members, vec![key]).unwrap();
            let text = render_cluster(&whole);
            let named = text.contains(&format!("algorithm = \"{algorithm}\""));
            assert_eq!(named, algorithm != Algorithm::Ed25519, "{text}");
            assert_eq!(parse_cluster(&text, Path::new("cluster.toml")).unwrap(), whole);
            if algorithm == Algorithm::MlDsa65 {
                let other = text.replace("ml_dsa_65", "mldsa65");
                assert_eq!(parse_cluster(&other, Path::new("cluster.toml")).unwrap(), whole);
                let refused = refusal(&text.replace("ml_dsa_65", "secp256k1"));
                assert!(
                    refused.contains("secp256k1 public key has 33 bytes, not 1952"),
                    "{refused}"
                );
                assert!(refusal(&text.replace("ml_dsa_65", "rsa")).contains("found \"rsa\""));
            }
        }
    }

    #[test]
    fn a_threshold_of_a_key_that_cannot_be_split_is_refused() {
        let text = render_cluster(&cluster());
        let key = BASE64.encode([9; 32]);
        let other = format!("{}\"\nalgorithm = \"secp256k1", BASE64.encode([2; 33]));
        let refused = refusal(&text.replace(&key, &other));
        assert!(
            refused.contains("is secp256k1") && refused.contains("only Ed25519 keys"),
            "{refused}"
        );
        assert!(refused.contains("`cosigner init`"), "{refused}");
    }

    #[test]
    fn refuses_a_threshold_that_allows_two_signatures() {
        let text = render_cluster(&cluster()).replace("threshold = 2", "threshold = 1");
        let refused = refusal(&text);
        assert!(refused.contains("1 of 3 is unsafe"), "{refused}");
        let line = text.lines().position(|line| line == "threshold = 1").unwrap() + 1;
        assert!(refused.starts_with(&format!("cluster.toml:{line}: ")), "{refused}");
    }

    #[test]
    fn refuses_what_it_does_not_know_or_cannot_read() {
        let text = render_cluster(&cluster());
        for (from, to, says) in [
            ("version = 1", "version = 2", "version 2 is not known"),
            ("serial = 1", "serail = 1", "did you mean `serial`?"),
            ("serial = 1\n", "", "missing field `serial`"),
            ("sha256:01", "sha256:1", "64 hex digits"),
            ("sha256:01", "md5:01", "64 hex digits"),
            ("10.0.0.1:2222", "0.0.0.0:2222", "nobody can dial it"),
            ("10.0.0.1:2222", "10.0.0.2:2222", "the same address"),
            ("\n2 = ", "\n16 = ", "16"),
            ("generation = 1", "generation = -1", "-1"),
        ] {
            let refused = refusal(&text.replace(from, to));
            assert!(refused.contains(says), "{to}: {refused}");
        }
    }
}
