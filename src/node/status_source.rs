//! `/status` and `/metrics`, put together from the plane, Raft and the validators' connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};

use super::chains::KeyFacts;
use super::plane_thread::{Event, Look};
use super::service::Service;
use crate::ops::{
    Answered, ChainStatus, Condition, KeyFaultStatus, LastSignState, MemberStatus, Sample, Source,
    Status, ValidatorStatus, WatermarkStatus, not_ready,
};
use crate::raft::{Raft, Role};
use crate::signing::ChainSnapshot;
use crate::types::{ChainId, Cluster, Height, Hrs, MemberId, UnixMillis};
use crate::validator::{ConnectionState, Control};

/// What a status is made of.
#[derive(Clone)]
pub(super) struct StatusSource {
    pub(super) me: MemberId,
    /// `None` for a node alone.
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) chains: Arc<BTreeMap<ChainId, KeyFacts>>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) control: Control,
    pub(super) raft: watch::Receiver<Option<Raft>>,
    pub(super) service: Option<Service>,
    pub(super) started: UnixMillis,
}

impl Source for StatusSource {
    async fn status(&self) -> Option<Status> {
        Some(self.assemble(&self.look().await?))
    }

    async fn sample(&self) -> Option<Sample> {
        let look = self.look().await?;
        let writes = |(chain, facts): (&ChainId, &KeyFacts)| (chain.clone(), facts.writes.now());
        Some(Sample {
            status: self.assemble(&look),
            tally: look.tally,
            started: self.started,
            writes: self.chains.iter().map(writes).collect(),
        })
    }
}

impl StatusSource {
    async fn look(&self) -> Option<Look> {
        let (sender, look) = oneshot::channel();
        self.events.send(Event::Look(sender)).ok()?;
        look.await.ok()
    }

    fn assemble(&self, look: &Look) -> Status {
        let raft = self.raft.borrow().clone();
        let leadership = raft.as_ref().map(|raft| raft.leadership().borrow().clone());
        let alone = self.cluster.is_none();
        let leader = leadership.as_ref().and_then(|known| known.leader);
        let leader = if alone { Some(self.me) } else { leader };
        let role = match &leadership {
            _ if alone => "single",
            // Who does not vote follows.
            Some(known) if known.role == Role::Learner => Role::Follower.name(),
            Some(known) => known.role.name(),
            None => Role::Follower.name(),
        };
        let not_ready = self.reasons(look, leader);
        let address =
            |id: MemberId| Some(self.cluster.as_ref()?.members().get(&id)?.address.clone());
        let chains: Vec<ChainStatus> =
            self.chains.iter().map(|(chain, key)| chain_status(chain, key, look)).collect();
        let mark = chains.first().and_then(|chain| chain.watermark);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_id: self.me.get(),
            role: role.to_owned(),
            leader_id: leader.map(MemberId::get),
            term: leadership.as_ref().map_or(0, |known| known.term),
            is_leader: leader == Some(self.me),
            leader_addr: leader.and_then(address),
            ready: not_ready.is_empty(),
            not_ready,
            members: self.members(look),
            chains,
            validators: self.validators(),
            last_sign_state: mark.map(|WatermarkStatus { height, round, step }| LastSignState {
                height,
                round,
                step,
            }),
            service: self.service.as_ref().map(Service::status),
            raft_applied: raft.as_ref().and_then(|raft| raft.status().applied),
        }
    }

    /// Of the service's keys none is among them: a validator is served as well without, and a node that is
    /// taken for unfit would be restarted for it.
    fn reasons(&self, look: &Look, leader: Option<MemberId>) -> Vec<String> {
        let connections = self.control.connections();
        let threshold = self.chains.values().map(|facts| facts.threshold.t()).max();
        let condition = Condition {
            has_leader: leader.is_some(),
            reachable: look.snapshot.reachable.len() + 1,
            threshold: usize::from(threshold.unwrap_or(1)),
            key_failed: look.snapshot.chains.values().any(|chain| chain.key_fault.is_some()),
            state_failed: look.snapshot.chains.values().any(|chain| chain.stopped),
            ceiling_reached: look.snapshot.chains.values().any(at_ceiling),
            has_validators: !connections.is_empty(),
            any_validator: connections
                .iter()
                .any(|connection| connection.state != ConnectionState::Dialling),
        };
        not_ready(&condition).iter().map(ToString::to_string).collect()
    }

    fn members(&self, look: &Look) -> Vec<MemberStatus> {
        let status = |member: &crate::types::Member| {
            let seen = look.snapshot.reachable.get(&member.id);
            let lag = seen.and_then(|seen| {
                let lags = seen.watermarks.iter().filter_map(|(chain, theirs)| {
                    let own = look.snapshot.chains.get(chain)?.watermark?;
                    Some(own.height.get().saturating_sub(theirs.height.get()))
                });
                lags.max()
            });
            let is_me = member.id == self.me;
            MemberStatus {
                id: member.id.get(),
                address: member.address.clone(),
                connected: is_me || seen.is_some(),
                rtt_ms: seen.and_then(|seen| seen.rtt).map(|rtt| rtt.as_secs_f64() * 1000.0),
                watermark_lag: if is_me { Some(0) } else { lag },
            }
        };
        let members = self.cluster.iter().flat_map(|cluster| cluster.members().values());
        members.map(status).collect()
    }

    fn validators(&self) -> Vec<ValidatorStatus> {
        let status = |connection: &crate::validator::Connection| {
            let connected = connection.state == ConnectionState::Connected;
            ValidatorStatus {
                chain_id: connection.chain.to_string(),
                address: connection.address.to_string(),
                connected,
                state: connection.state.name().to_owned(),
                since: connected.then_some(connection.since.0 / 1000),
                connects: connection.connects,
                losses: connection.losses,
                lines_left_out: connection.lines_left_out,
            }
        };
        self.control.connections().iter().map(status).collect()
    }
}

/// Whether nothing, or nothing but later rounds of the last height, is signed any more.
fn at_ceiling(chain: &ChainSnapshot) -> bool {
    let height = chain.watermark.map(|mark| mark.height);
    chain.ceiling.is_some_and(|ceiling| height >= Some(ceiling))
}

fn chain_status(chain: &ChainId, facts: &KeyFacts, look: &Look) -> ChainStatus {
    let Answered { counts, last_signed, last_denied } = look.tally.of(chain);
    let snapshot = look.snapshot.chains.get(chain).cloned().unwrap_or_default();
    let ChainSnapshot { watermark, ceiling, nonces_ready, key_fault, .. } = snapshot;
    ChainStatus {
        id: chain.to_string(),
        backend: facts.backend.to_owned(),
        public_key: STANDARD.encode(facts.public_key.as_bytes()),
        address: hex::encode_upper(facts.public_key.address()),
        valcons: facts.public_key.valcons(facts.prefix.as_str()),
        threshold: facts.threshold.t(),
        members: facts.threshold.n(),
        watermark: watermark.map(|Hrs { height, round, step }| WatermarkStatus {
            height: height.get(),
            round: round.get(),
            step: step.number(),
        }),
        ceiling: ceiling.map(Height::get),
        key_fault: key_fault.map(|fault| KeyFaultStatus {
            cause: fault.word().to_owned(),
            text: format!("the key's backend {} {fault}", facts.backend),
        }),
        last_signed,
        last_denied,
        counts,
        raw: look.tally.raw_of(chain),
        nonces_ready: (!facts.is_whole).then_some(nonces_ready),
    }
}
