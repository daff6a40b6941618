//! `[service]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::Bind;
use super::chain::{Place, key_source};
use crate::backend::Source;
use crate::config::ConfigError;
use crate::config::key_source::KeySource;
use crate::config::read::Parsed;
use crate::service::{Callers, CallersError};
use crate::types::{Algorithm, PublicKey, PublicKeyError};

/// Where the service listens when nothing is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:2224";
/// Longest id of a key, in bytes.
const MAX_ID_BYTES: usize = 128;

/// `[service]`.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// What it binds.
    pub listen: SocketAddr,
    /// Its certificate and private key, absolute; `None` on loopback without TLS.
    pub tls: Option<TlsFiles>,
    /// The keys that it offers, at least one, each id once.
    pub keys: Vec<ServiceKeySettings>,
}

/// `tls_cert` and `tls_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate in PEM.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// `[[service.key]]`.
#[derive(Clone, Debug)]
pub struct ServiceKeySettings {
    /// Its name on the wire.
    pub id: String,
    /// Where it is.
    pub source: Source,
    /// Its public key, where the file pins it.
    pub public_key: Option<PublicKey>,
    /// Who may use it.
    pub callers: Callers,
}

/// What is wrong with `[service]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// Keys in plain text over a network.
    #[error(
        "[service] listen = \"{0}\" is not loopback, so it needs TLS: set tls_cert and tls_key to a certificate and its \
         key in PEM, and for each [[service.key]] callers, the clients' certificates; or listen on 127.0.0.1"
    )]
    Plaintext(SocketAddr),
    /// One of the two.
    #[error(
        "[service] has {found} and no {missing}: TLS needs both, and loopback without TLS neither"
    )]
    HalfTls {
        /// What there is.
        found: &'static str,
        /// What there is not.
        missing: &'static str,
    },
    /// Nothing to sign with.
    #[error("[service] has no key: add a [[service.key]] with id and key, or remove [service]")]
    NoKey,
    /// Not a name.
    #[error(
        "a service key's id has 1 to {MAX_ID_BYTES} bytes and no control characters; found {0:?}"
    )]
    Id(String),
    /// One id, twice.
    #[error("service key {0:?} stands here a second time; give one of them another id")]
    SameId(String),
    /// A share.
    #[error(
        "service key {0:?} has backend = \"threshold\", which signs for chains only; it takes file, pkcs11 or awskms"
    )]
    Share(String),
    /// An algorithm that the service does not have.
    #[error(
        "service key {id:?} has algorithm = \"{found}\"; the service signs with \"ed25519\", \"secp256k1\" and \
         \"secp256k1eth\""
    )]
    Algorithm {
        /// The key.
        id: String,
        /// As it stands there.
        found: Algorithm,
    },
    /// Not a public key of the algorithm.
    #[error("service key {id:?}: public_key is in base64, and {source}")]
    Pin {
        /// The key.
        id: String,
        /// Why.
        source: PublicKeyError,
    },
    /// Who may use it is not said.
    #[error(
        "service key {0:?} has no callers: with TLS each key names the clients that may use it, \
         callers = [\"sha256:…\"], or says callers = \"any\""
    )]
    NoCallers(String),
    /// Certificates that nobody is asked for.
    #[error(
        "service key {0:?} names callers, which without TLS cannot be told apart: set tls_cert and tls_key, \
         or remove callers to let every program on this machine use it"
    )]
    CallersInPlaintext(String),
    /// What stands in the list.
    #[error("service key {id:?}: {source}")]
    Callers {
        /// The key.
        id: String,
        /// Why.
        source: CallersError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawService {
    listen: Option<Spanned<Parsed<Bind>>>,
    tls_cert: Option<Spanned<String>>,
    tls_key: Option<Spanned<String>>,
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: Spanned<String>,
    key: Spanned<BTreeMap<Spanned<String>, toml::Value>>,
    callers: Option<Spanned<toml::Value>>,
    public_key: Option<Spanned<String>>,
}

pub(super) fn service(
    raw: Spanned<RawService>,
    place: &Place<'_>,
) -> Result<ServiceSettings, ConfigError> {
    let begins = place.line(raw.span().start);
    let RawService { listen, tls_cert, tls_key, key } = raw.into_inner();
    let listen_line = listen.as_ref().map_or(begins, |listen| place.line(listen.span().start));
    let listen = match listen {
        Some(listen) => listen.into_inner().0.0,
        None => default_listen(),
    };
    let tls = match (tls_cert, tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: place.root.join(certificate.into_inner()),
            key: place.root.join(key.into_inner()),
        }),
        (None, None) => None,
        (found, other) => {
            let at = found.as_ref().or(other.as_ref()).map_or(0, |half| half.span().start);
            let (found, missing) = match found {
                Some(_) => ("tls_cert", "tls_key"),
                None => ("tls_key", "tls_cert"),
            };
            return Err(place.service(place.line(at), ServiceError::HalfTls { found, missing }));
        }
    };
    if tls.is_none() && !listen.ip().to_canonical().is_loopback() {
        return Err(place.service(listen_line, ServiceError::Plaintext(listen)));
    }
    let mut ids = BTreeSet::new();
    let mut keys = Vec::new();
    for raw in key {
        let line = place.line(raw.id.span().start);
        let key = service_key(raw, tls.is_some(), place)?;
        if !ids.insert(key.id.clone()) {
            return Err(place.service(line, ServiceError::SameId(key.id)));
        }
        keys.push(key);
    }
    match keys.is_empty() {
        true => Err(place.service(begins, ServiceError::NoKey)),
        false => Ok(ServiceSettings { listen, tls, keys }),
    }
}

fn default_listen() -> SocketAddr {
    // It parses; a test says so.
    DEFAULT_LISTEN.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 2224)))
}

fn service_key(
    raw: RawKey,
    has_tls: bool,
    place: &Place<'_>,
) -> Result<ServiceKeySettings, ConfigError> {
    let line = place.line(raw.id.span().start);
    let id = raw.id.into_inner();
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err(place.service(line, ServiceError::Id(id)));
    }
    let key_line = place.line(raw.key.span().start);
    let source = match key_source(raw.key, place)? {
        KeySource::Whole(source) => source,
        KeySource::Threshold => return Err(place.service(key_line, ServiceError::Share(id))),
    };
    let algorithm = source.algorithm();
    if algorithm == Algorithm::MlDsa65 {
        return Err(place.service(key_line, ServiceError::Algorithm { id, found: algorithm }));
    }
    let callers = match raw.callers {
        None if has_tls => return Err(place.service(line, ServiceError::NoCallers(id))),
        None => Callers::Any,
        Some(raw) => {
            let line = place.line(raw.span().start);
            match callers(raw.get_ref()) {
                Ok(Callers::Pinned(_)) if !has_tls => {
                    return Err(place.service(line, ServiceError::CallersInPlaintext(id)));
                }
                Ok(callers) => callers,
                Err(source) => {
                    return Err(place.service(line, ServiceError::Callers { id, source }));
                }
            }
        }
    };
    let public_key = raw.public_key.map(|pinned| {
        let line = place.line(pinned.span().start);
        // Not shown, and wiped: it could be a private key that was put into the wrong place.
        let text = Zeroizing::new(pinned.into_inner());
        let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).unwrap_or_default());
        PublicKey::new(algorithm, bytes.as_slice())
            .map_err(|source| place.service(line, ServiceError::Pin { id: id.clone(), source }))
    });
    let public_key = public_key.transpose()?;
    Ok(ServiceKeySettings { id, source, public_key, callers })
}

fn callers(value: &toml::Value) -> Result<Callers, CallersError> {
    match value {
        toml::Value::String(word) if word == "any" => Ok(Callers::Any),
        toml::Value::Array(pins) => {
            let pins: Option<Vec<&str>> = pins.iter().map(toml::Value::as_str).collect();
            Callers::pinned(pins.ok_or(CallersError::Form)?)
        }
        _ => Err(CallersError::Form),
    }
}

impl Place<'_> {
    fn service(&self, line: usize, source: ServiceError) -> ConfigError {
        ConfigError::Service { file: self.file.to_owned(), line, source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    const KEY: &str = "key = { backend = \"file\", path = \"k\" }";
    const TLS: &str = "tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n";

    fn parse(text: &str) -> Result<ServiceSettings, ConfigError> {
        let settings = Settings::parse(text, Path::new("f"), Path::new("/h"))?;
        Ok(settings.service.unwrap())
    }

    #[track_caller]
    fn refused(text: &str, line: usize) -> ServiceError {
        match parse(text).unwrap_err() {
            ConfigError::Service { line: found, source, .. } => {
                assert_eq!(found, line, "{source}");
                *source
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn on_loopback_a_key_needs_no_more_than_an_id_and_its_backend() {
        let service = parse(&format!("[service]\n[[service.key]]\nid = \"a\"\n{KEY}\n")).unwrap();
        assert_eq!(service.listen, DEFAULT_LISTEN.parse().unwrap());
        assert_eq!((service.tls, service.keys.len()), (None, 1));
        let key = &service.keys[0];
        assert_eq!((key.source.algorithm(), &key.callers), (Algorithm::Ed25519, &Callers::Any));
        assert!(matches!(&key.source, Source::File(file) if file.path == Path::new("/h/k")));
    }

    #[test]
    fn takes_a_network_address_with_tls_and_callers() {
        let pin = format!("sha256:{}", "0f".repeat(32));
        let text = format!(
            "[service]\nlisten = \"0.0.0.0:2224\"\n{TLS}[[service.key]]\nid = \"a\"\ncallers = [\"{pin}\"]\n\
             key = {{ backend = \"file\", path = \"k\", algorithm = \"secp256k1eth\" }}\n\
             [[service.key]]\nid = \"b\"\ncallers = \"any\"\n{KEY}\n"
        );
        let service = parse(&text).unwrap();
        assert_eq!(service.tls.unwrap().certificate, Path::new("/h/c.pem"));
        assert_eq!(service.keys[0].callers, Callers::pinned([pin.as_str()]).unwrap());
        assert_eq!(service.keys[0].source.algorithm(), Algorithm::Secp256k1Eth);
        assert_eq!(service.keys[1].callers, Callers::Any);
    }

    #[test]
    fn plain_text_off_loopback_is_refused_also_on_every_interface() {
        for listen in ["10.0.0.1:1", "0.0.0.0:1", "[::]:1", "[::ffff:10.0.0.1]:1"] {
            let text = format!(
                "[service]\nlisten = \"{listen}\"\n[[service.key]]\nid = \"a\"\ncallers = \"any\"\n{KEY}\n"
            );
            assert_eq!(refused(&text, 2), ServiceError::Plaintext(listen.parse().unwrap()));
        }
        for listen in ["127.0.0.5:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            let text =
                format!("[service]\nlisten = \"{listen}\"\n[[service.key]]\nid = \"a\"\n{KEY}\n");
            parse(&text).unwrap();
        }
    }

    #[test]
    fn callers_are_named_with_tls_and_not_without() {
        let pin = format!("callers = [\"sha256:{}\"]", "0f".repeat(32));
        let with = |tls: &str, callers: &str| {
            format!("[service]\n{tls}[[service.key]]\nid = \"a\"\n{KEY}\n{callers}\n")
        };
        assert_eq!(refused(&with(TLS, ""), 5), ServiceError::NoCallers("a".into()));
        assert_eq!(refused(&with("", &pin), 5), ServiceError::CallersInPlaintext("a".into()));
        for (callers, source) in [
            ("callers = []", CallersError::Nobody),
            ("callers = \"all\"", CallersError::Form),
            ("callers = [1]", CallersError::Form),
            ("callers = [\"sha256:0f\"]", CallersError::Pin("sha256:0f".into())),
        ] {
            let expected = ServiceError::Callers { id: "a".into(), source };
            assert_eq!(refused(&with(TLS, callers), 7), expected);
        }
    }

    #[test]
    fn refuses_half_of_tls_shares_other_algorithms_and_what_is_there_twice() {
        let half = format!("[service]\ntls_key = \"k\"\n[[service.key]]\nid = \"a\"\n{KEY}\n");
        let expected = ServiceError::HalfTls { found: "tls_key", missing: "tls_cert" };
        assert_eq!(refused(&half, 2), expected);
        let with = |id: &str, key: &str| format!("[service]\n[[service.key]]\nid = {id}\n{key}\n");
        let share = with("\"a\"", "key = { backend = \"threshold\" }");
        assert_eq!(refused(&share, 4), ServiceError::Share("a".into()));
        let lattice = "key = { backend = \"file\", path = \"k\", algorithm = \"ml_dsa_65\" }";
        let expected = ServiceError::Algorithm { id: "a".into(), found: Algorithm::MlDsa65 };
        assert_eq!(refused(&with("\"a\"", lattice), 4), expected);
        let twice = format!("{}[[service.key]]\nid = \"a\"\n{KEY}\n", with("\"a\"", KEY));
        assert_eq!(refused(&twice, 6), ServiceError::SameId("a".into()));
        assert_eq!(refused(&with("\"\"", KEY), 3), ServiceError::Id(String::new()));
        assert_eq!(refused(&with("\"a\\n\"", KEY), 3), ServiceError::Id("a\n".into()));
        assert_eq!(refused("[service]\n", 1), ServiceError::NoKey);
        let pinned = format!("{}public_key = \"AAAA\"\n", with("\"a\"", KEY));
        assert!(matches!(refused(&pinned, 5), ServiceError::Pin { .. }));
    }
}
