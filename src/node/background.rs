//! What runs beside the signing plane: Raft, health, replication.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, info};

use super::plane_thread::Event;
use super::raft_wires::Outgoing;
use crate::raft::{Raft, RaftError, Settled, Timing};
use crate::signing::Input;
use crate::store::Store;
use crate::types::{ChainId, MemberId};

/// Starts Raft and keeps telling the plane who leads.
pub(super) async fn start_raft(
    me: MemberId,
    members: &BTreeSet<MemberId>,
    state: Store,
    outgoing: Outgoing,
    events: UnboundedSender<Event>,
) -> Result<Raft, RaftError> {
    let raft = Raft::start(me, members, state, outgoing, Timing::default()).await?;
    tokio::spawn(tell_leader(raft.leadership(), events));
    Ok(raft)
}

async fn tell_leader(
    mut leadership: watch::Receiver<crate::raft::Leadership>,
    events: UnboundedSender<Event>,
) {
    let mut known = None;
    let mut failed = false;
    loop {
        let now = leadership.borrow_and_update().clone();
        if let (Some(why), false) = (&now.failed, failed) {
            failed = true;
            error!(why, "raft has stopped: signing goes on, restart this cosigner");
        }
        if known != Some(now.leader) {
            known = Some(now.leader);
            match now.leader {
                Some(leader) => info!(%leader, term = now.term, "the cluster has a leader"),
                None => info!(term = now.term, "the cluster has no leader"),
            }
            if events.send(Event::Input(Input::Leader(now.leader))).is_err() {
                return;
            }
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

/// What the signing plane wants of Raft, when there is time.
pub(super) enum Wish {
    /// Replicate a signature.
    Settle(Settled),
    /// Give leadership up.
    StepDown,
}

/// Proposes signatures to Raft: at most one entry outstanding per chain, the newest wins.
pub(super) async fn serve_wishes(raft: Raft, mut wishes: UnboundedReceiver<Wish>) {
    let mut waiting: HashMap<ChainId, Settled> = HashMap::new();
    let mut busy: BTreeSet<ChainId> = BTreeSet::new();
    let mut tasks: JoinSet<ChainId> = JoinSet::new();
    loop {
        tokio::select! {
            wish = wishes.recv() => match wish {
                Some(Wish::Settle(next)) => {
                    waiting.insert(next.chain.clone(), next);
                }
                Some(Wish::StepDown) => raft.step_down(),
                None => return,
            },
            Some(done) = tasks.join_next() => {
                if let Ok(chain) = done {
                    busy.remove(&chain);
                }
            }
        }
        let free: Vec<ChainId> =
            waiting.keys().filter(|chain| !busy.contains(*chain)).cloned().collect();
        for chain in free {
            if let Some(entry) = waiting.remove(&chain) {
                busy.insert(chain.clone());
                let raft = raft.clone();
                tasks.spawn(async move {
                    // A member that does not lead keeps its signature to itself: only a hint is lost.
                    if let Err(why) = raft.replicate(entry).await {
                        debug!(%chain, %why, "a signature was not replicated");
                    }
                    chain
                });
            }
        }
    }
}
