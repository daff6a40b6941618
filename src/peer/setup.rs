//! What a member needs to know before it talks to the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::identity::Identity;
use super::message::Hello;
use super::tls;
use crate::types::{CertificatePin, Cluster, MemberId};

/// HTTP/2 pings go out this often, also on an idle connection.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// A ping unanswered for so long ends the connection: a black hole is found within 3 s.
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// For TCP and TLS together, on either side.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For the other side's greeting.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// Flow-control window, in bytes: a precommit with two extensions of the greatest length goes in one
/// flight.
pub(super) const WINDOW_BYTES: u32 = 3 << 20;

/// This member's place in the cluster.
#[derive(Debug)]
pub struct Setup {
    /// This member.
    pub me: MemberId,
    /// Its certificate and key.
    pub identity: Identity,
    /// The member list.
    pub cluster: Cluster,
    /// `host:port` where members are reached from here, if not where the list says.
    pub addresses: BTreeMap<MemberId, String>,
    /// What this member says of itself.
    pub hello: Hello,
}

/// Why this member cannot talk to the others at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configured id is not in the list.
    #[error("member {0} is not in the member list")]
    NoSuchMember(MemberId),
    /// The key at hand is another member's or of another split.
    #[error(
        "the identity of this cosigner has the certificate {found}, but the member list gives member {me} \
         the certificate {expected}; the identity and cluster.toml are of different members or splits"
    )]
    OtherIdentity {
        /// This member.
        me: MemberId,
        /// The list's.
        expected: CertificatePin,
        /// The identity's.
        found: CertificatePin,
    },
    /// The greeting was made from another list.
    #[error("the greeting was made from another member list than the one in use")]
    OtherGreeting,
    /// rustls refuses the identity.
    #[error("the identity cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Setup {
    /// Refuses what no other member would talk to.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn check(&self) -> Result<(), SetupError> {
        let me = self.me;
        let listed = self.cluster.members().get(&me).ok_or(SetupError::NoSuchMember(me))?;
        let (expected, found) = (listed.certificate, self.identity.pin());
        if expected != found {
            return Err(SetupError::OtherIdentity { me, expected, found });
        }
        let greeted = (self.hello.members, self.hello.serial);
        if greeted != (self.cluster.members_hash(), self.cluster.serial()) {
            return Err(SetupError::OtherGreeting);
        }
        Ok(())
    }

    /// Where a member is reached from here.
    pub(super) fn address(&self, peer: MemberId) -> Option<&str> {
        let listed = self.cluster.members().get(&peer)?;
        Some(self.addresses.get(&peer).unwrap_or(&listed.address))
    }

    pub(super) fn server_tls(&self) -> Result<Arc<rustls::ServerConfig>, SetupError> {
        let others = self.cluster.members().values().filter(|member| member.id != self.me);
        let pins = others.map(|member| member.certificate).collect();
        Ok(tls::server_config(&self.identity, pins)?)
    }

    pub(super) fn client_tls(
        &self,
        peer: MemberId,
    ) -> Result<Arc<rustls::ClientConfig>, SetupError> {
        let listed = self.cluster.members().get(&peer).ok_or(SetupError::NoSuchMember(peer))?;
        Ok(tls::client_config(&self.identity, listed.certificate)?)
    }
}
