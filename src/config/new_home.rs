//! The `cosigner.toml` of a fresh home.

use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::types::{ChainId, MemberId, PublicKey};
use crate::validator::Address as ValidatorAddress;

use super::key_source::{KeySource, ShowPin, render};
use super::text::quoted;

/// Room for the whole text, in bytes, so that it does not grow and leave copies of a PIN behind.
const ROOM: usize = 8 << 10;

/// What a fresh home's `cosigner.toml` says.
#[derive(Clone, Debug)]
pub struct NewHome {
    /// The node among the others; `None` if it signs alone.
    pub node: Option<NewNode>,
    /// What it binds for health and status.
    pub ops_listen: SocketAddr,
    /// The chain that it signs for.
    pub chain: ChainId,
    /// Where the chain's key is; paths are written as they stand here.
    pub key: KeySource,
    /// The public key of a whole key, pinned.
    pub public_key: Option<PublicKey>,
    /// The validators that it dials.
    pub validators: Vec<ValidatorAddress>,
}

/// What a home's `cosigner.toml` says about one chain: tables that stand at its end.
#[derive(Clone, Debug)]
pub struct NewChain {
    /// The chain.
    pub chain: ChainId,
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
        text.push_str(
            "# What this node does. Flags win over COSIGNER_… variables, those over this file. Check it: cosigner config check\n",
        );
        match &self.node {
            Some(node) => write!(
                text,
                "[node]\n\
                 id = {}\n\
                 listen = \"{}\"                  # to bind; what the others dial stands in cluster.toml\n\
                 # addresses = {{ 2 = \"10.0.0.99:2222\" }}   # a member that moved, until cluster.toml is written anew\n",
                node.id, node.listen,
            )?,
            None => text.push_str(
                "# There is no [node], so it signs alone: nobody else may sign with this key.\n",
            ),
        }
        write!(
            text,
            "\n\
             [ops]\n\
             listen = \"{}\"                # /livez /readyz /healthz /status; \"\" switches it off\n\
             \n\
             [log]\n\
             level = \"info\"                           # error warn info debug trace, or per module: info,cosigner::raft=debug\n\
             format = \"text\"                          # text | json\n\
             \n",
            self.ops_listen,
        )?;
        self.chain().write(text)
    }

    fn chain(&self) -> NewChain {
        NewChain {
            chain: self.chain.clone(),
            key: self.key.clone(),
            public_key: self.public_key.clone(),
            validators: self.validators.clone(),
        }
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
        let chain = quoted(self.chain.as_str());
        write!(text, "[[chain]]\nid = {chain}\n")?;
        if self.key != KeySource::Threshold {
            text.push_str("# The whole key. Relative paths are relative to this directory.\n");
        }
        writeln!(text, "key = {}", *render(&self.key, ShowPin::InFull))?;
        if let Some(pinned) = &self.public_key {
            let pinned = BASE64.encode(pinned.as_bytes());
            writeln!(text, "public_key = \"{pinned}\"   # no other key is ever used")?;
        }
        text.push_str("# give_up_after = \"3s\"                   # or \"never\": the only validator of a chain\n");
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
            chain: ChainId::new("odd \"chain\"\\").unwrap(),
            key,
            public_key: None,
            validators: vec!["tcp://10.0.0.1:26659".parse().unwrap()],
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
        assert_eq!(settings.chains[0].id, home.chain);
        assert_eq!(settings.chains[0].key, KeySource::Threshold);
        assert_eq!(settings.chains[0].public_key, None);
        assert_eq!(settings.validators[0].address, home.validators[0]);
        home.validators.clear();
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
            assert_eq!(read(&home).chains[0].key, home.key);
            let KeySource::Whole(source) = &home.key else { panic!() };
            let algorithm = source.algorithm();
            let pinned = PublicKey::new(algorithm, vec![2; algorithm.public_key_bytes()]);
            (home.node, home.public_key) = (None, Some(pinned.unwrap()));
            let settings = read(&home);
            assert!(settings.node.is_none());
            assert_eq!(settings.chains[0].key, home.key);
            assert_eq!(settings.chains[0].public_key, home.public_key);
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
}
