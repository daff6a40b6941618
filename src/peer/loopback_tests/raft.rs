//! Raft's calls.

use super::*;
use crate::peer::{RaftCallError, RaftChannels, RaftHandler};

/// Answers with the caller's id and what it sent; never answers to "hang".
#[derive(Clone)]
pub(super) struct Echo;

impl RaftHandler for Echo {
    async fn handle(&self, from: MemberId, mut payload: Vec<u8>) -> Vec<u8> {
        if payload == b"hang" {
            std::future::pending::<()>().await;
        }
        payload.push(u8::try_from(from.get()).unwrap());
        payload
    }
}

#[tokio::test]
async fn a_call_is_answered_to_the_member_of_the_certificate() {
    let mut world = World::new(2).await;
    let (_one, _two) = (world.start(1), world.start(2));
    // Both ways, the higher member too, and from a runtime of its own.
    for (from, to) in [(1, 2), (2, 1)] {
        let channels = RaftChannels::new(Arc::new(world.usual(from))).unwrap();
        let answered = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                assert_eq!(
                    channels.call(id(from), vec![], PATIENCE).await,
                    Err(RaftCallError::UnknownMember(id(from)))
                );
                let bytes = vec![0; MAX_RAFT_BYTES];
                assert_eq!(
                    channels.call(id(to), bytes, PATIENCE).await.unwrap().len(),
                    MAX_RAFT_BYTES + 1
                );
                channels.call(id(to), b"vote".to_vec(), PATIENCE).await
            })
        });
        assert_eq!(answered.await.unwrap().unwrap(), [b"vote".as_slice(), &[from as u8]].concat());
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_deadline_and_holds_up_no_other() {
    let mut world = World::new(2).await;
    let _two = world.start(2);
    let channels = RaftChannels::new(Arc::new(world.usual(1))).unwrap();
    let deadline = Duration::from_millis(300);
    let hanging = channels.call(id(2), b"hang".to_vec(), deadline);
    let quick = channels.call(id(2), b"x".to_vec(), PATIENCE);
    let (hanging, quick) = tokio::join!(timeout(PATIENCE, hanging), quick);
    assert_eq!(hanging.unwrap(), Err(RaftCallError::Deadline { to: id(2), deadline }));
    assert_eq!(quick.unwrap(), b"x\x01");
}

#[tokio::test]
async fn a_member_of_another_list_is_refused() {
    let mut world = World::new(3).await;
    let two = world.setup(2, world.cluster(2, 3));
    let _two = world.start_with(two);
    let channels = RaftChannels::new(Arc::new(world.setup(1, world.cluster(1, 2)))).unwrap();
    let refused = channels.call(id(2), vec![1], PATIENCE).await.unwrap_err();
    assert!(matches!(refused, RaftCallError::Refused { .. }), "{refused}");
}

#[tokio::test]
async fn an_absent_member_is_called_again_when_it_is_back() {
    let mut world = World::new(2).await;
    drop(world.listeners[1].take());
    let channels = RaftChannels::new(Arc::new(world.usual(1))).unwrap();
    let absent = channels.call(id(2), vec![1], PATIENCE).await.unwrap_err();
    assert!(matches!(absent, RaftCallError::Unreachable { .. }), "{absent}");
    assert!(absent.to_string().contains(&world.addresses[1]), "{absent}");
    let listener = TcpListener::bind(&world.addresses[1]).await.unwrap();
    let _two = Node::start(listener, world.usual(2));
    assert_eq!(channels.call(id(2), vec![1], PATIENCE).await.unwrap(), [1, 1]);
}
