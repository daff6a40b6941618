//! State files of the programs that validators come from, signed as those programs would.

// Each test binary uses its part of this.
#![allow(dead_code)]
// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosigner::privval::{BlockId, Fields, Vote, VoteKind, sign_bytes};
use cosigner::types::{ChainId, Height, Round, Timestamp};
use ed25519_dalek::{Signer as _, SigningKey};

/// A precommit in round 0, and a signature over it.
#[derive(Clone)]
pub(crate) struct Precommit {
    pub(crate) height: i64,
    pub(crate) sign_bytes: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Precommit {
    /// By the ceremony's key.
    pub(crate) fn new(chain: &str, height: i64, block: u8) -> Self {
        Self::by(std::array::from_fn(|at| u8::try_from(at).unwrap()), chain, height, block)
    }

    /// By the key of another seed.
    pub(crate) fn by(seed: [u8; 32], chain: &str, height: i64, block: u8) -> Self {
        let hash = Some([block; 32]);
        let fields = Fields::Vote(Vote {
            kind: VoteKind::Precommit,
            height: Height::new(height).unwrap(),
            round: Round::new(0).unwrap(),
            block_id: BlockId::new(hash, 1, hash),
            timestamp: Timestamp::new(1_700_000_000, 7).unwrap(),
        });
        let sign_bytes = sign_bytes(&ChainId::new(chain).unwrap(), &fields);
        let signature = SigningKey::from_bytes(&seed).sign(&sign_bytes).to_bytes().to_vec();
        Self { height, sign_bytes, signature }
    }

    pub(crate) fn signbytes(&self) -> String {
        hex::encode_upper(&self.sign_bytes)
    }

    fn pair(&self) -> String {
        let (signature, bytes) = (BASE64.encode(&self.signature), self.signbytes());
        format!(r#""signature": "{signature}", "signbytes": "{bytes}""#)
    }

    /// `FilePVLastSignState`.
    pub(crate) fn cometbft(&self) -> String {
        format!(r#"{{"height": "{}", "round": 0, "step": 3, {}}}"#, self.height, self.pair())
    }

    /// Horcrux, both of its files.
    pub(crate) fn horcrux(&self) -> String {
        format!(
            r#"{{"height": "{}", "round": "0", "step": 3, "nonce_public": null, {}}}"#,
            self.height,
            self.pair()
        )
    }

    /// What a share's state has for a signature is none of the key.
    pub(crate) fn share(&self) -> String {
        Self { signature: vec![9; 64], ..self.clone() }.horcrux()
    }

    /// CometKMS as its Raft replicates it.
    pub(crate) fn cometkms(&self) -> String {
        format!(r#"{{"height": {}, "round": 0, "step": 3, {}}}"#, self.height, self.pair())
    }
}

/// tmkms; its steps are CometBFT's minus one.
pub(crate) fn tmkms(height: i64, step: u8) -> String {
    format!(r#"{{"height":"{height}","round":"0","step":{step},"block_id":null}}"#)
}
