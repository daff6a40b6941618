//! `address`, and how keys and addresses are written for people.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bech32::{Bech32, Hrp};

use crate::config::{Home, consensus_keys};
use crate::types::{Algorithm, ChainId, PublicKey};

use super::CliError;

/// Print the validator's consensus address and public key
///
/// Reads cluster.toml, or public_key in cosigner.toml of a node alone, so it works beside a running
/// node. Where neither has it, the key's backend is asked. Compare with what the chain shows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner address --home /var/lib/cosigner
  cosigner address --chain-id osmosis-1 --prefix osmo

The last line is what `simd comet show-validator` prints; for secp256k1eth and ml_dsa_65 it is the key as
CometBFT's genesis has it.")]
pub(super) struct Args {
    /// This chain only
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// The chain's bech32 prefix, before `valcons`
    #[arg(long, default_value = "cosmos", value_parser = prefix)]
    prefix: Hrp,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let keys = consensus_keys(home)?;
    if let Some(chain) = args.chain_id.as_ref().filter(|chain| !keys.contains_key(chain)) {
        return Err(unknown_chain(chain, keys.keys()));
    }
    let mut text = String::new();
    for (chain, key) in &keys {
        if args.chain_id.as_ref().is_none_or(|named| named == chain) {
            // Writing to a String does not fail.
            let _ = writeln!(text, "chain       {chain}");
            text.push_str(&describe(key, args.prefix));
            let _ = writeln!(text, "public key  {}", public_key(key));
        }
    }
    super::print(&text)
}

/// As the Cosmos SDK writes it; keys that the SDK has no type for, as CometBFT's genesis does.
fn public_key(key: &PublicKey) -> String {
    let value = BASE64.encode(key.as_bytes());
    let sdk = |name| format!("{{\"@type\":\"/cosmos.crypto.{name}.PubKey\",\"key\":\"{value}\"}}");
    let comet = |name| format!("{{\"type\":\"{name}\",\"value\":\"{value}\"}}");
    match key.algorithm() {
        Algorithm::Ed25519 => sdk("ed25519"),
        Algorithm::Secp256k1 => sdk("secp256k1"),
        Algorithm::Secp256k1Eth => comet("tendermint/PubKeySecp256k1eth"),
        Algorithm::MlDsa65 => comet("cometbft/PubKeyMlDsa65"),
    }
}

/// Address in both its forms, a line each.
pub(super) fn describe(key: &PublicKey, prefix: Hrp) -> String {
    let address = key.address();
    let hex = hex::encode_upper(address);
    // Neither a prefix that was checked nor 20 bytes can be too long.
    let valcons = bech32::encode::<Bech32>(prefix, &address).unwrap_or_default();
    format!("address     {hex}\nvalcons     {valcons}\n")
}

/// For clap: a chain id.
pub(super) fn chain_id(text: &str) -> Result<ChainId, crate::types::ChainIdError> {
    ChainId::new(text)
}

/// For clap: `cosmos` becomes `cosmosvalcons`.
pub(super) fn prefix(text: &str) -> Result<Hrp, bech32::primitives::hrp::Error> {
    Hrp::parse(&format!("{}valcons", text.to_ascii_lowercase()))
}

/// Names the chains that there are.
pub(super) fn unknown_chain<'c>(
    chain: &ChainId,
    known: impl Iterator<Item = &'c ChainId>,
) -> CliError {
    CliError::UnknownChain { chain: chain.clone(), known: names(known) }
}

/// Asks for one of several chains.
pub(super) fn which_chain<'c>(known: impl Iterator<Item = &'c ChainId>) -> CliError {
    CliError::WhichChain { known: names(known) }
}

fn names<'c>(chains: impl Iterator<Item = &'c ChainId>) -> String {
    chains.map(ChainId::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_an_address_as_the_chain_shows_it() {
        let key = hex::decode("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
        let key = PublicKey::ed25519(key.unwrap().try_into().unwrap());
        let text = describe(&key, prefix("cosmos").unwrap());
        let [hex, valcons] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(hex, "address     56475AA75463474C0285DF5DBF2BCAB73DA65135");
        let (hrp, data) = bech32::decode(valcons.split_whitespace().nth(1).unwrap()).unwrap();
        assert_eq!(hrp.as_str(), "cosmosvalcons");
        assert_eq!(data, key.address());
        assert!(describe(&key, prefix("OSMO").unwrap()).contains("osmovalcons1"));
    }
}
