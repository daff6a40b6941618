//! The `cosigner.toml` of a fresh home.

use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::types::{ChainId, MemberId, PublicKey};
use crate::validator::Address as ValidatorAddress;

use super::Bech32Prefix;
use super::key_source::{KeySource, ShowPin, render};
use super::text::quoted;

/// Room for the whole text, in bytes, so that it does not grow and leave copies of a PIN behind.
const ROOM: usize = 8 << 10;

const HEAD: &str = "\
# What this node does. Flags win over COSIGNER_… variables, those over this file. Check it: cosigner config check
";

/// Every line that begins with `# name =` says a default: a test takes each `# ` away and looks.
const DEFAULTS: &str = "
# A name with a # before it is left at its default, which stands there: take the # away to change it.
# Where does each value come from? cosigner config show
";

const OTHERS: &str = "
# [noise]
# identity = \"identity.json\"             # who this node is for noise:// validators; made with the home

# Signatures over gRPC with keys that are in no chain: [service], see docs/signer-service.md
";

const WHOLE: &str = "\
# The whole key. Relative paths are relative to this directory. One of
#   { backend = \"file\", path }
#   { backend = \"pkcs11\", module, token_label or slot, key_label or key_id, pin_env or pin_file or pin }
#   { backend = \"awskms\", key_id, and if wanted region, profile, endpoint }
# each with algorithm = \"secp256k1\", \"secp256k1eth\" or \"ml_dsa_65\" if it is no Ed25519 key.
";

const CHAIN_DEFAULTS: &str = "\
# give_up_after = \"3s\"                   # or \"never\": the only validator of a chain
# privval_version = \"v1\"                 # \"v2\" where its validators run CometBFT v2
# non_rp_extensions = false              # with v2 alone: sign vote extensions that have no replay protection
# raw_bytes = \"off\"                      # \"sign_bytes\" or \"celestia\" if the chain signs other things with this key
# height_jump = { most = 10000, per_second = 20 }   # how far a height may be ahead: saved up at most, earned in each second
";

/// What a fresh home's `cosigner.toml` says.
#[derive(Clone, Debug)]
pub struct NewHome {
    /// The node among the others; `None` if it signs alone.
    pub node: Option<NewNode>,
    /// What it binds for health and status.
    pub ops_listen: SocketAddr,
    /// The chain that it signs for.
    pub chain: NewChain,
}

/// What a home's `cosigner.toml` says about one chain: tables that stand at its end.
#[derive(Clone, Debug)]
pub struct NewChain {
    /// The chain.
    pub chain: ChainId,
    /// What the chain's addresses begin with.
    pub prefix: Bech32Prefix,
    /// Where its key is; paths are written as they stand here.
    pub key: KeySource,
    /// The public key of a whole key, pinned.
    pub public_key: Option<PublicKey>,
    /// The validators that are dialled for it.
    pub validators: Vec<ValidatorAddress>,
}

/// A member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// Which.
    pub id: MemberId,
    /// What it binds for the other cosigners.
    pub listen: SocketAddr,
}

impl NewHome {
    /// The text of the file.
    #[must_use]
    pub fn render(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        text.push_str(HEAD);
        self.write_node(text)?;
        text.push_str(DEFAULTS);
        self.write_ops(text)?;
        text.push_str(OTHERS);
        self.chain.write(text)
    }

    fn write_node(&self, text: &mut String) -> std::fmt::Result {
        let Some(NewNode { id, listen }) = &self.node else {
            text.push_str(
                "# There is no [node], so it signs alone: nobody else may sign with this key.\n",
            );
            return Ok(());
        };
        write!(
            text,
            "[node]\n\
             id = {id}\n\
             listen = \"{listen}\"                  # to bind; what the others dial stands in cluster.toml\n\
             # addresses = {{}}                       # members that moved, until cluster.toml is written anew: {{ 2 = \"10.0.0.99:2222\" }}\n",
        )
    }

    fn write_ops(&self, text: &mut String) -> std::fmt::Result {
        write!(
            text,
            "\n\
             [ops]\n\
             listen = \"{}\"                # /livez /readyz /healthz /status /metrics; \"\" switches it off\n\
             \n\
             [log]\n\
             level = \"info\"                           # error warn info debug trace, or per module: info,cosigner::raft=debug\n\
             format = \"text\"                          # text | json\n",
            self.ops_listen,
        )
    }
}

impl NewChain {
    /// The tables.
    #[must_use]
    pub fn render(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        self.write_chain(text)?;
        self.write_validators(text)
    }

    fn write_chain(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n[[chain]]\nid = {}", quoted(self.chain.as_str()))?;
        text.push_str(match self.key {
            KeySource::Threshold => "# This node's share of the key is in keys/.\n",
            KeySource::Whole(_) => WHOLE,
        });
        writeln!(text, "key = {}", *render(&self.key, ShowPin::InFull))?;
        if let Some(pinned) = &self.public_key {
            let pinned = BASE64.encode(pinned.as_bytes());
            writeln!(text, "public_key = \"{pinned}\"   # no other key is ever used")?;
        }
        text.push_str(CHAIN_DEFAULTS);
        let comment = if self.prefix == Bech32Prefix::default() { "# " } else { "" };
        let prefix = quoted(self.prefix.as_str());
        writeln!(
            text,
            "{comment}bech32_prefix = {prefix}               # what its addresses begin with, before valcons"
        )
    }

    fn write_validators(&self, text: &mut String) -> std::fmt::Result {
        let chain = quoted(self.chain.as_str());
        for validator in &self.validators {
            let address = quoted(&validator.to_string());
            write!(text, "\n[[validator]]\nchain_id = {chain}\naddress = {address}\n")?;
        }
        if self.validators.is_empty() {
            write!(
                text,
                "\n# [[validator]]                          # one for each node of the chain that shall use this cosigner\n\
                 # chain_id = {chain}\n\
                 # address = \"tcp://10.0.0.1:26659\"       # its priv_validator_laddr: tcp://, unix:// or noise://PEERID@ip:port\n"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::backend::{AwsKmsSource, FileSource, Pin, Pkcs11Source, Source, Token};
    use crate::config::Settings;
    use crate::types::Algorithm;

    fn home(key: KeySource) -> NewHome {
        NewHome {
            node: Some(NewNode {
                id: MemberId::new(3).unwrap(),
                listen: "127.0.0.1:2224".parse().unwrap(),
            }),
            ops_listen: "127.0.0.1:2225".parse().unwrap(),
            chain: NewChain {
                chain: ChainId::new("odd \"chain\"\\").unwrap(),
                prefix: Bech32Prefix::default(),
                key,
                public_key: None,
                validators: vec!["tcp://10.0.0.1:26659".parse().unwrap()],
            },
        }
    }

    fn read(home: &NewHome) -> Settings {
        let text = home.render();
        assert!(text.len() < ROOM, "{}", text.len());
        Settings::parse(&text, Path::new("f"), Path::new("/h")).unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_the_same_settings() {
        let mut home = home(KeySource::Threshold);
        let settings = read(&home);
        let node = settings.node.unwrap();
        assert_eq!(Some(NewNode { id: node.id, listen: node.listen }), home.node);
        assert_eq!(settings.ops_listen, Some(home.ops_listen));
        assert_eq!(settings.chains[0].id, home.chain.chain);
        assert_eq!(settings.chains[0].key, KeySource::Threshold);
        assert_eq!(settings.chains[0].public_key, None);
        assert_eq!(settings.validators[0].address, home.chain.validators[0]);
        home.chain.validators.clear();
        assert!(read(&home).validators.is_empty());
    }

    #[test]
    fn every_backend_is_written_and_read_as_the_same_key() {
        let odd = "a \"b\" \\ 'c' # {d} = é";
        let token = |token, key_id: Option<&[u8]>, pin| Pkcs11Source {
            algorithm: Algorithm::Secp256k1,
            module: "/usr/lib/x.so".into(),
            token,
            key_label: key_id.is_none().then(|| odd.to_owned()),
            key_id: key_id.map(<[u8]>::to_vec),
            pin,
        };
        let kms = |endpoint: Option<&str>| AwsKmsSource {
            algorithm: Algorithm::Ed25519,
            key_id: "alias/validator".to_owned(),
            region: endpoint.map(|_| "us-east-1".to_owned()),
            profile: endpoint.map(|_| odd.to_owned()),
            endpoint: endpoint.map(str::to_owned),
        };
        let inline = Pin::Inline(Zeroizing::new(odd.to_owned()));
        for source in [
            Source::File(FileSource {
                algorithm: Algorithm::Secp256k1Eth,
                path: format!("/h/{odd}.json").into(),
            }),
            Source::Pkcs11(token(Token::Label(odd.to_owned()), None, inline)),
            Source::Pkcs11(token(Token::Slot(7), Some(&[0, 0xa1]), Pin::Env("PIN_1".to_owned()))),
            Source::Pkcs11(token(Token::Slot(0), None, Pin::File("/run/pin".into()))),
            Source::File(FileSource { algorithm: Algorithm::MlDsa65, path: "/h/k".into() }),
            Source::AwsKms(kms(None)),
            Source::AwsKms(kms(Some("https://kms.example:4566/"))),
        ] {
            let mut home = home(KeySource::Whole(source));
            assert_eq!(read(&home).chains[0].key, home.chain.key);
            let KeySource::Whole(source) = &home.chain.key else { panic!() };
            let algorithm = source.algorithm();
            let pinned = PublicKey::new(algorithm, vec![2; algorithm.public_key_bytes()]);
            (home.node, home.chain.public_key) = (None, Some(pinned.unwrap()));
            let settings = read(&home);
            assert!(settings.node.is_none());
            assert_eq!(settings.chains[0].key, home.chain.key);
            assert_eq!(settings.chains[0].public_key, home.chain.public_key);
        }
    }

    #[test]
    fn a_relative_path_is_written_as_it_is_and_read_inside_the_home() {
        let algorithm = Algorithm::Ed25519;
        let key = |path: &str| {
            KeySource::Whole(Source::File(FileSource { algorithm, path: path.into() }))
        };
        let home = home(key("key.json"));
        assert!(home.render().contains("path = \"key.json\""));
        assert_eq!(read(&home).chains[0].key, key("/h/key.json"));
    }

    #[test]
    fn a_prefix_is_written_if_it_is_not_the_default() {
        let mut home = home(KeySource::Threshold);
        assert!(home.render().contains("\n# bech32_prefix = \"cosmos\" "));
        home.chain.prefix = "osmo".parse().unwrap();
        assert_eq!(read(&home).chains[0].bech32_prefix, home.chain.prefix);
    }

    /// The text with the `# ` of these lines taken away.
    fn uncommented(text: &str, lines: &[usize]) -> String {
        let line = |(at, line): (usize, &str)| match lines.contains(&at) {
            true => format!("{}\n", line.strip_prefix("# ").unwrap()),
            false => format!("{line}\n"),
        };
        text.lines().enumerate().map(line).collect()
    }

    /// Lines that begin with `# name = `, each after that of its table if this one is commented, too.
    fn commented(text: &str) -> Vec<(String, Vec<usize>)> {
        let mut found = Vec::new();
        let mut table = None;
        for (at, line) in text.lines().enumerate() {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let name = bare.split_once(" = ").map_or("", |(name, _)| name);
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if bare.starts_with('[') {
                table = line.starts_with("# ").then_some(at);
            } else if line.starts_with("# ") && !name.is_empty() && name.chars().all(is_name) {
                found.push((name.to_owned(), table.into_iter().chain([at]).collect()));
            }
        }
        found
    }

    #[test]
    fn every_commented_key_is_accepted_and_says_the_default() {
        let file = FileSource { algorithm: Algorithm::Ed25519, path: "key.json".into() };
        for key in [KeySource::Threshold, KeySource::Whole(Source::File(file))] {
            let home = home(key);
            let text = home.render();
            let before = format!("{:?}", read(&home));
            let names: Vec<String> = commented(&text).into_iter().map(|(name, _)| name).collect();
            for taught in [
                "addresses",
                "identity",
                "give_up_after",
                "privval_version",
                "non_rp_extensions",
                "raw_bytes",
                "height_jump",
                "bech32_prefix",
            ] {
                assert!(names.iter().any(|name| name == taught), "no {taught} in {names:?}");
            }
            for (name, lines) in commented(&text) {
                let changed = uncommented(&text, &lines);
                let settings = Settings::parse(&changed, Path::new("f"), Path::new("/h"));
                let settings = settings.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(format!("{settings:?}"), before, "{name} is not at its default");
            }
            // And all at once.
            let all: Vec<usize> = commented(&text).into_iter().flat_map(|(_, at)| at).collect();
            let all = Settings::parse(&uncommented(&text, &all), Path::new("f"), Path::new("/h"));
            assert_eq!(format!("{:?}", all.unwrap()), before);
        }
    }

    #[test]
    fn the_commented_validator_is_accepted_as_a_whole() {
        let mut home = home(KeySource::Threshold);
        home.chain.validators.clear();
        let text = home.render();
        let header = text.lines().position(|line| line.starts_with("# [[validator]]")).unwrap();
        let text = uncommented(&text, &[header, header + 1, header + 2]);
        let settings = Settings::parse(&text, Path::new("f"), Path::new("/h")).unwrap();
        assert_eq!(settings.validators.len(), 1);
    }
}
