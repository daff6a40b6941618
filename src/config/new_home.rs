//! The `cosigner.toml` of a fresh home.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::types::{ChainId, MemberId};
use crate::validator::Address as ValidatorAddress;

use super::text::quoted;

/// What a fresh home's `cosigner.toml` says.
#[derive(Clone, Debug)]
pub struct NewHome {
    /// The node.
    pub id: MemberId,
    /// What it binds for the other cosigners.
    pub listen: SocketAddr,
    /// What it binds for health and status.
    pub ops_listen: SocketAddr,
    /// The chain that it signs for.
    pub chain: ChainId,
    /// The validators that it dials.
    pub validators: Vec<ValidatorAddress>,
}

impl NewHome {
    /// The text of the file.
    #[must_use]
    pub fn render(&self) -> String {
        let chain = quoted(self.chain.as_str());
        let mut text = format!(
            "# What this node does. Flags win over COSIGNER_… variables, those over this file. Check it: cosigner config check\n\
             [node]\n\
             id = {}\n\
             listen = \"{}\"                  # to bind; what the others dial stands in cluster.toml\n\
             # addresses = {{ 2 = \"10.0.0.99:2222\" }}   # a member that moved, until cluster.toml is written anew\n\
             \n\
             [ops]\n\
             listen = \"{}\"                # /livez /readyz /healthz /status; \"\" switches it off\n\
             \n\
             [log]\n\
             level = \"info\"                           # error warn info debug trace, or per module: info,cosigner::raft=debug\n\
             format = \"text\"                          # text | json\n\
             \n\
             [[chain]]\n\
             id = {chain}\n\
             key = {{ backend = \"threshold\" }}\n\
             # give_up_after = \"3s\"                   # or \"never\": the only validator of a chain\n",
            self.id, self.listen, self.ops_listen,
        );
        for validator in &self.validators {
            let address = quoted(&validator.to_string());
            // Writing to a String does not fail.
            let _ = write!(text, "\n[[validator]]\nchain_id = {chain}\naddress = {address}\n");
        }
        if self.validators.is_empty() {
            let _ = write!(
                text,
                "\n# [[validator]]                          # one for each node of the chain that shall use this cosigner\n\
                 # chain_id = {chain}\n\
                 # address = \"tcp://10.0.0.1:26659\"       # its priv_validator_laddr: tcp:// or unix://\n"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    #[test]
    fn what_is_written_is_read_as_the_same_settings() {
        let mut home = NewHome {
            id: MemberId::new(3).unwrap(),
            listen: "127.0.0.1:2224".parse().unwrap(),
            ops_listen: "127.0.0.1:2225".parse().unwrap(),
            chain: ChainId::new("odd \"chain\"\\").unwrap(),
            validators: vec!["tcp://10.0.0.1:26659".parse().unwrap()],
        };
        let read = |home: &NewHome| {
            Settings::parse(&home.render(), Path::new("f"), Path::new("/")).unwrap()
        };
        let settings = read(&home);
        assert_eq!(settings.node.id, home.id);
        assert_eq!(settings.node.listen, home.listen);
        assert_eq!(settings.ops_listen, Some(home.ops_listen));
        assert_eq!(settings.chains[0].id, home.chain);
        assert_eq!(settings.validators[0].address, home.validators[0]);
        home.validators.clear();
        assert!(read(&home).validators.is_empty());
    }
}
