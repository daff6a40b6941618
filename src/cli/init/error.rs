//! Why no home was made.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::backend::OpenError;
use crate::cli::NewHomesError;
use crate::cli::add_chain::AddError;
use crate::config::KeySourceError;
use crate::types::{Algorithm, PublicKey, PublicKeyError, ThresholdError};

/// Why no home was made. Nothing is left written then.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The flags that say where the key is.
    #[error("--backend: {0}")]
    Key(Box<KeySourceError>),
    /// Shares are made in another way.
    #[error(
        "--backend threshold: the homes of a key that is split are made by `cosigner split-key`, \
         from a key file; `init` is for whole keys: file, pkcs11 or awskms"
    )]
    Shares,
    /// A path that TOML cannot hold.
    #[error("--{flag} {path}: this path is not UTF-8 and cannot be written into cosigner.toml")]
    NotText {
        /// The flag.
        flag: String,
        /// The path, as it was given.
        path: String,
    },
    /// One cosigner.
    #[error(
        "one --cosigner makes no cluster. For a node that signs alone leave it out; for a cluster name two or more: \
         three go on signing while any one is down, five while any two are; an even number survives no more \
         than the odd one below it"
    )]
    OneCosigner,
    /// Too many cosigners.
    #[error("{n} times --cosigner: {source}")]
    Cosigners {
        /// How many were named.
        n: usize,
        /// Why not.
        source: ThresholdError,
    },
    /// `--out` for a node alone.
    #[error("--out is for the homes of a cluster, with --cosigner; a node alone is made at --home")]
    OutAlone,
    /// Not a public key of the key's algorithm.
    #[error("--public-key: {source}; --algorithm is {algorithm}, or was not said")]
    PublicKey {
        /// The key's.
        algorithm: Algorithm,
        /// Why not.
        source: PublicKeyError,
    },
    /// The key.
    #[error("{source}{}", if *may_pass {
        "; give --public-key BASE64 to make the home without reaching the key now"
    } else {
        ""
    })]
    Open {
        /// Why.
        source: Box<OpenError>,
        /// Whether the home could be made all the same.
        may_pass: bool,
    },
    /// A key file that is not there, and nothing else that says which key it is.
    #[error(
        "{path}: not found; put the validator's key file there, or correct --path. With --public-key BASE64 the home \
         is made without it", path = path.display()
    )]
    NoKeyFile {
        /// What --path leads to.
        path: PathBuf,
    },
    /// The key is another one.
    #[error(
        "--public-key {}: the key that was found has {}: it is another validator's, or the flag is wrong", 
        BASE64.encode(given.as_bytes()), BASE64.encode(found.as_bytes())
    )]
    OtherKey {
        /// The flag's value.
        given: Box<PublicKey>,
        /// The backend's.
        found: Box<PublicKey>,
    },
    /// The homes that are there.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The homes.
    #[error(transparent)]
    Homes(#[from] NewHomesError),
}
