//! `address`, and how keys and addresses are written for people.

use std::fmt::Write as _;

use crate::config::{Bech32Prefix, Bech32PrefixError, ChainSettings, Home, Overrides, Settings};
use crate::config::{LoadError, consensus_keys};
use crate::privval::Version;
use crate::types::{ChainId, PublicKey};

use super::CliError;

/// Print the validator's consensus address and public key
///
/// Reads cluster.toml, or public_key in cosigner.toml of a node alone, so it works beside a running
/// node. Where neither has it, the key's backend is asked. Compare with what the chain shows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner address --home /var/lib/cosigner
  cosigner address --chain-id osmosis-1 --format valcons

The last line is what `simd comet show-validator` prints, for keys that the Cosmos SDK knows. With
--format, only that is printed, a line for each chain. The prefix is bech32_prefix of the chain in
cosigner.toml, cosmos if nothing is said there.")]
pub(super) struct Args {
    /// This chain only
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// Another bech32 prefix, before valcons, than the chain's own
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    prefix: Option<Bech32Prefix>,
    /// What is printed: the address as hex or valcons, the public key as valconspub, as json of the
    /// Cosmos SDK or of comet (CometBFT), or all
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value = "all",
        hide_possible_values = true
    )]
    format: Format,
}

/// How an address or key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// The address, 40 digits.
    Hex,
    /// The address as the chain shows it.
    Valcons,
    /// The public key in Amino's form.
    Valconspub,
    /// The public key as the Cosmos SDK writes it.
    Json,
    /// The public key as CometBFT writes it.
    Comet,
    /// Each, with its name.
    All,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let settings = Settings::read(home, &Overrides::default()).map_err(LoadError::Config)?;
    let keys = consensus_keys(home)?;
    if let Some(chain) = args.chain_id.as_ref().filter(|chain| !keys.contains_key(chain)) {
        return Err(unknown_chain(chain, keys.keys()));
    }
    let mut text = String::new();
    for (chain, key) in &keys {
        if args.chain_id.as_ref().is_some_and(|named| named != chain) {
            continue;
        }
        // A cluster's list may have chains that this node does not sign for.
        let known = settings.chains.iter().find(|known| known.id == *chain);
        let forms = Forms {
            key,
            prefix: args.prefix.clone().unwrap_or_else(|| prefix_of(known)),
            v2: known.is_some_and(|known| known.dialect.version == Version::V2),
        };
        if args.format == Format::All {
            // Writing to a String does not fail.
            let _ = writeln!(text, "chain       {chain}");
            text.push_str(&forms.all());
        } else {
            let form = forms.one(args.format).ok_or_else(|| CliError::NoSuchForm {
                chain: chain.clone(),
                algorithm: key.algorithm(),
            })?;
            text.push_str(&form);
            text.push('\n');
        }
    }
    super::print(&text)
}

fn prefix_of(chain: Option<&ChainSettings>) -> Bech32Prefix {
    chain.map(|chain| chain.bech32_prefix.clone()).unwrap_or_default()
}

/// One key, and what its forms depend on.
struct Forms<'k> {
    key: &'k PublicKey,
    prefix: Bech32Prefix,
    v2: bool,
}

impl Forms<'_> {
    /// `None` where nobody writes such a key like that.
    fn one(&self, format: Format) -> Option<String> {
        let Self { key, prefix, v2 } = self;
        match format {
            Format::Hex => Some(hex::encode_upper(key.address())),
            Format::Valcons => Some(key.valcons(prefix.as_str())),
            Format::Valconspub => key.valconspub(prefix.as_str()),
            Format::Json => key.sdk_json(),
            Format::Comet => Some(key.comet_json(*v2)),
            Format::All => Some(self.all()),
        }
    }

    /// Each form that there is, a line each.
    fn all(&self) -> String {
        let mut text = String::new();
        for (name, format) in [
            ("address", Format::Hex),
            ("valcons", Format::Valcons),
            ("valconspub", Format::Valconspub),
            ("comet", Format::Comet),
            ("public key", Format::Json),
        ] {
            if let Some(form) = self.one(format) {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{name:<12}{form}");
            }
        }
        text
    }
}

/// Address in both its forms, a line each.
pub(super) fn describe(key: &PublicKey, prefix: &Bech32Prefix) -> String {
    let address = hex::encode_upper(key.address());
    format!("address     {address}\nvalcons     {}\n", key.valcons(prefix.as_str()))
}

/// For clap: a chain id.
pub(super) fn chain_id(text: &str) -> Result<ChainId, crate::types::ChainIdError> {
    ChainId::new(text)
}

/// For clap: `cosmos`, in small letters or capitals.
pub(super) fn prefix(text: &str) -> Result<Bech32Prefix, Bech32PrefixError> {
    text.to_ascii_lowercase().parse()
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
    use crate::types::Algorithm;

    fn key() -> PublicKey {
        let key = hex::decode("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
        PublicKey::ed25519(key.unwrap().try_into().unwrap())
    }

    #[test]
    fn writes_an_address_as_the_chain_shows_it() {
        let text = describe(&key(), &prefix("cosmos").unwrap());
        let [hex, valcons] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(hex, "address     56475AA75463474C0285DF5DBF2BCAB73DA65135");
        let (hrp, data) = bech32::decode(valcons.split_whitespace().nth(1).unwrap()).unwrap();
        assert_eq!(hrp.as_str(), "cosmosvalcons");
        assert_eq!(data, key().address());
        assert!(describe(&key(), &prefix("OSMO").unwrap()).contains("osmovalcons1"));
        assert!(prefix("os mo").is_err());
    }

    #[test]
    fn all_forms_of_a_key_have_their_line_and_those_that_it_has_not_have_none() {
        let forms = Forms { key: &key(), prefix: Bech32Prefix::default(), v2: false };
        let text = forms.all();
        let name = |line: &str| line.chars().take(12).collect::<String>().trim().to_owned();
        let names: Vec<String> = text.lines().map(name).collect();
        assert_eq!(names, ["address", "valcons", "valconspub", "comet", "public key"]);
        let key = PublicKey::new(Algorithm::MlDsa65, vec![7; 1952]).unwrap();
        let forms = Forms { key: &key, prefix: Bech32Prefix::default(), v2: false };
        assert_eq!(forms.all().lines().count(), 3);
        assert_eq!(forms.one(Format::Valconspub), None);
    }
}
