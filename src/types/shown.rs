//! Public keys as chains and their tools write them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bech32::{Bech32, Hrp};

use super::{Algorithm, PublicKey};

/// Amino's name of a type (the first bytes of a hash over it) and the length of what follows.
const AMINO_ED25519: [u8; 5] = [0x16, 0x24, 0xde, 0x64, 32];
const AMINO_SECP256K1: [u8; 5] = [0xeb, 0x5a, 0xe9, 0x87, 33];

impl PublicKey {
    /// The address as the Cosmos SDK shows it: `cosmosvalcons1…` with the prefix `cosmos`. Empty if the
    /// prefix is none of bech32.
    #[must_use]
    pub fn valcons(&self, prefix: &str) -> String {
        encoded(prefix, "valcons", &self.address())
    }

    /// The key in Amino's form as tmkms and older tools of the Cosmos SDK show it:
    /// `cosmosvalconspub1…`. `None` for kinds of keys that Amino has none for.
    #[must_use]
    pub fn valconspub(&self, prefix: &str) -> Option<String> {
        let name = match self.algorithm() {
            Algorithm::Ed25519 => AMINO_ED25519,
            Algorithm::Secp256k1 => AMINO_SECP256K1,
            Algorithm::Secp256k1Eth | Algorithm::MlDsa65 => return None,
        };
        Some(encoded(prefix, "valconspub", &[name.as_slice(), self.as_bytes()].concat()))
    }

    /// The key as the Cosmos SDK writes it in JSON, with the type's protobuf name; what
    /// `simd comet show-validator` prints. `None` for keys that the SDK has no type for.
    #[must_use]
    pub fn sdk_json(&self) -> Option<String> {
        let name = match self.algorithm() {
            Algorithm::Ed25519 => "/cosmos.crypto.ed25519.PubKey",
            Algorithm::Secp256k1 => "/cosmos.crypto.secp256k1.PubKey",
            Algorithm::Secp256k1Eth => "/cosmos.evm.crypto.v1.ethsecp256k1.PubKey",
            Algorithm::MlDsa65 => return None,
        };
        Some(format!(r#"{{"@type":"{name}","key":"{}"}}"#, BASE64.encode(self.as_bytes())))
    }

    /// The key as CometBFT writes it in JSON (genesis, `priv_validator_key.json`). v2 has another name
    /// than the releases before for keys of the kind secp256k1eth.
    #[must_use]
    pub fn comet_json(&self, v2: bool) -> String {
        let name = match self.algorithm() {
            Algorithm::Ed25519 => "tendermint/PubKeyEd25519",
            Algorithm::Secp256k1 => "tendermint/PubKeySecp256k1",
            Algorithm::Secp256k1Eth if v2 => "cometbft/PubKeySecp256k1eth",
            Algorithm::Secp256k1Eth => "tendermint/PubKeySecp256k1eth",
            Algorithm::MlDsa65 => "cometbft/PubKeyMlDsa65",
        };
        format!(r#"{{"type":"{name}","value":"{}"}}"#, BASE64.encode(self.as_bytes()))
    }
}

fn encoded(prefix: &str, suffix: &str, data: &[u8]) -> String {
    let hrp = Hrp::parse(&format!("{prefix}{suffix}"));
    hrp.ok().and_then(|hrp| bech32::encode::<Bech32>(hrp, data).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm, hex: &str) -> PublicKey {
        PublicKey::new(algorithm, hex::decode(hex).unwrap()).unwrap()
    }

    /// Key of the seed 00..1f.
    fn ed25519() -> PublicKey {
        let hex = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
        key(Algorithm::Ed25519, hex)
    }

    /// The generator.
    fn secp256k1(algorithm: Algorithm) -> PublicKey {
        key(algorithm, "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    }

    #[test]
    fn an_address_is_written_as_the_chain_shows_it() {
        let expected = "cosmosvalcons12er44f65vdr5cq59mawm7272ku76v5f4lj96wd";
        assert_eq!(ed25519().valcons("cosmos"), expected);
        assert!(ed25519().valcons("osmo").starts_with("osmovalcons1"));
    }

    #[test]
    fn a_key_of_amino_is_written_as_tmkms_shows_it() {
        let shown = ed25519().valconspub("cosmos").unwrap();
        // All Ed25519 keys begin like this one.
        assert!(shown.starts_with("cosmosvalconspub1zcjduepq"), "{shown}");
        let (hrp, data) = bech32::decode(&shown).unwrap();
        assert_eq!(hrp.as_str(), "cosmosvalconspub");
        assert_eq!(hex::encode(&data[..5]), "1624de6420");
        assert_eq!(&data[5..], ed25519().as_bytes());
        let shown = secp256k1(Algorithm::Secp256k1).valconspub("x").unwrap();
        let (_, data) = bech32::decode(&shown).unwrap();
        assert_eq!(hex::encode(&data[..5]), "eb5ae98721");
        assert_eq!(data.len(), 38);
        assert_eq!(secp256k1(Algorithm::Secp256k1Eth).valconspub("x"), None);
    }

    #[test]
    fn json_names_the_type_as_each_tool_does() {
        assert_eq!(
            ed25519().sdk_json().unwrap(),
            r#"{"@type":"/cosmos.crypto.ed25519.PubKey","key":"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}"#
        );
        assert_eq!(
            ed25519().comet_json(false),
            r#"{"type":"tendermint/PubKeyEd25519","value":"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}"#
        );
        let eth = secp256k1(Algorithm::Secp256k1Eth);
        assert!(eth.sdk_json().unwrap().contains("\"/cosmos.evm.crypto.v1.ethsecp256k1.PubKey\""));
        assert!(eth.comet_json(false).contains("\"tendermint/PubKeySecp256k1eth\""));
        assert!(eth.comet_json(true).contains("\"cometbft/PubKeySecp256k1eth\""));
        let plain = secp256k1(Algorithm::Secp256k1);
        assert!(plain.sdk_json().unwrap().contains("\"/cosmos.crypto.secp256k1.PubKey\""));
        assert!(plain.comet_json(true).contains("\"tendermint/PubKeySecp256k1\""));
        let large = PublicKey::new(Algorithm::MlDsa65, vec![7; 1952]).unwrap();
        assert_eq!((large.sdk_json(), large.valconspub("cosmos")), (None, None));
        assert!(large.comet_json(false).contains("\"cometbft/PubKeyMlDsa65\""));
    }
}
