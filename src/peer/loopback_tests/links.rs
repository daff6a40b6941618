//! Streams: up, down, over again, and what ends them.

use tonic::Code;

use super::*;
use crate::peer::ending::Ending;
use crate::peer::journal::Journal;
use crate::peer::serve;

fn sink() -> (EventSink, mpsc::UnboundedReceiver<Event>) {
    mpsc::unbounded_channel()
}

#[tokio::test]
async fn two_members_exchange_messages_in_both_directions() {
    let mut world = World::new(2).await;
    let (mut one, mut two) = (world.start(1), world.start(2));
    let (to_two, hello) = one.up().await;
    assert_eq!((to_two.peer, hello), (id(2), world.usual(2).hello));
    let (to_one, hello) = two.up().await;
    assert_eq!((to_one.peer, hello), (id(1), world.usual(1).hello));
    for number in 0..500 {
        to_two.send(Message::Ping(number)).unwrap();
        to_one.send(Message::Pong(number)).unwrap();
    }
    for number in 0..500 {
        let (peer, link, message, _) = one.message().await;
        assert_eq!((peer, link, message), (id(2), to_two.id, Message::Pong(number)));
        let (peer, link, message, _) = two.message().await;
        assert_eq!((peer, link, message), (id(1), to_one.id, Message::Ping(number)));
    }
    to_one.close();
    assert_eq!(two.down().await, (id(1), to_one.id, "closed here".to_owned()));
    assert_eq!(one.down().await, (id(2), to_two.id, "closed here".to_owned()));
    assert_eq!(to_one.send(Message::Ping(1)), Err(LinkError::Closed(id(1))));
}

#[tokio::test]
async fn a_member_that_starts_again_is_found_again() {
    let mut world = World::new(2).await;
    let mut one = world.start(1);
    let mut two = world.start(2);
    let (before, _) = one.up().await;
    two.up().await;
    two.stop().await;
    assert_eq!(one.down().await.1, before.id);
    assert_eq!(before.send(Message::Ping(1)), Err(LinkError::Closed(id(2))));
    let listener = TcpListener::bind(&world.addresses[1]).await.unwrap();
    let mut two = Node::start(listener, world.usual(2));
    let (after, _) = one.up().await;
    assert!(after.id > before.id);
    two.up().await;
    after.send(Message::Ping(2)).unwrap();
    assert_eq!(two.message().await.2, Message::Ping(2));
}

#[tokio::test]
async fn the_newest_stream_of_a_member_wins_and_the_old_one_goes_down_first() {
    let mut world = World::new(2).await;
    let mut two = world.start(2);
    let setup = world.usual(1);
    let mut first = Puppet::greet(&setup, 2).await;
    let (old, _) = two.up().await;
    let second = Puppet::greet(&setup, 2).await;
    assert_eq!(two.down().await.1, old.id);
    let (new, _) = two.up().await;
    assert!(new.id > old.id);
    assert_eq!(first.end().await.code(), Code::Aborted);
    second.send(Message::Ping(3)).await;
    let (peer, link, message, _) = two.message().await;
    assert_eq!((peer, link, message), (id(1), new.id, Message::Ping(3)));
}

/// What member 1, dialling, says of member 2, and what member 2 tells it.
async fn mismatch(one: Setup, two: Setup, world: &mut World) -> (String, Status) {
    let mut called = world.start_with(two);
    let (events, mut seen) = sink();
    let dialer = Dialer::new(&one, id(2)).unwrap();
    let ending = dial::attempt(&dialer, &one, &events, &mut Journal::default()).await.unwrap();
    let Ending::Greeting(text) = ending else { panic!("a mismatch, not {ending:?}") };
    let first = vec![wire::encode_hello(&one.hello)];
    let status = Puppet::connect(&one, 2, first).await.unwrap().end().await;
    assert!(seen.try_recv().is_err() && called.events.try_recv().is_err(), "no event");
    (text, status)
}

#[tokio::test]
async fn another_member_list_is_refused_and_the_side_that_is_behind_is_named() {
    let mut world = World::new(3).await;
    let (one, two) = (world.cluster(1, 2), world.cluster(2, 3));
    let (one, two) = (world.setup(1, one), world.setup(2, two));
    let (text, status) = mismatch(one, two, &mut world).await;
    assert!(text.starts_with("member 1 is out of date: it has edition 1 "), "{text}");
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text.as_str()));
}

#[tokio::test]
async fn another_split_is_refused_as_such() {
    let mut world = World::new(3).await;
    let (one, two) = (world.cluster(4, 2), world.cluster(4, 3));
    let (one, two) = (world.setup(1, one), world.setup(2, two));
    let (text, status) = mismatch(one, two, &mut world).await;
    assert!(text.starts_with("members 1 and 2 come from different splits"), "{text}");
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text.as_str()));
}

#[tokio::test]
async fn another_protocol_is_refused_and_the_side_that_is_behind_is_named() {
    let mut world = World::new(2).await;
    let (mut one, two) = (world.usual(1), world.usual(2));
    one.hello.protocol = PROTOCOL + 1;
    let (text, status) = mismatch(one, two, &mut world).await;
    let expected = format!("member 2 is out of date: it speaks protocol {PROTOCOL}");
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text.as_str()));
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_own_link_and_no_other() {
    let mut world = World::new(3).await;
    let mut three = world.start(3);
    let mut one = Puppet::greet(&world.usual(1), 3).await;
    let (from_one, _) = three.up().await;
    let two = Puppet::greet(&world.usual(2), 3).await;
    let (from_two, _) = three.up().await;
    one.send.send(wire::commitments_of(MAX_MESSAGE_BYTES + 1)).await.unwrap();
    let (peer, link, reason) = three.down().await;
    assert_eq!((peer, link), (id(1), from_one.id));
    assert!(reason.contains("too large"), "{reason}");
    one.end().await;
    two.send(Message::Ping(5)).await;
    let (peer, link, message, _) = three.message().await;
    assert_eq!((peer, link, message), (id(2), from_two.id, Message::Ping(5)));
}

#[tokio::test]
async fn nonsense_ends_the_link_with_the_reason() {
    let mut world = World::new(2).await;
    let mut two = world.start(2);
    let setup = world.usual(1);
    let mut one = Puppet::greet(&setup, 2).await;
    two.up().await;
    one.send(Message::Ping(1)).await;
    one.send.send(wire::encode_hello(&setup.hello)).await.unwrap();
    assert_eq!(two.message().await.2, Message::Ping(1));
    let (_, _, reason) = two.down().await;
    assert_eq!(reason, format!("it sent nonsense: {}", WireError::Hello));
    let status = one.end().await;
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, reason.as_str()));
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_a_greeting_never_comes_up() {
    let mut world = World::new(2).await;
    let mut two = world.start(2);
    let first = vec![wire::encode(Message::Ping(1)).unwrap().0];
    let mut one = Puppet::connect(&world.usual(1), 2, first).await.unwrap();
    assert_eq!(one.end().await.code(), Code::FailedPrecondition);
    assert!(two.events.try_recv().is_err());
}

#[tokio::test]
async fn a_member_that_floods_is_held_up_until_its_messages_are_dealt_with() {
    let mut world = World::new(3).await;
    let mut three = world.start(3);
    let one = Puppet::greet(&world.usual(1), 3).await;
    three.up().await;
    for number in 0..1000 {
        one.send(Message::Ping(number)).await;
    }
    let mut held = Vec::new();
    for number in 0..256 {
        let (_, _, message, permit) = three.message().await;
        assert_eq!(message, Message::Ping(number));
        held.push(permit);
    }
    // Everything of member 2 passes by.
    let two = Puppet::greet(&world.usual(2), 3).await;
    three.up().await;
    two.send(Message::Ping(7)).await;
    assert_eq!(three.message().await.0, id(2));
    assert!(three.events.try_recv().is_err());
    drop(held);
    assert_eq!(three.message().await.2, Message::Ping(256));
}

#[tokio::test]
async fn a_member_that_does_not_read_loses_its_link() {
    let mut world = World::new(2).await;
    let mut two = world.start(2);
    let mut one = Puppet::greet(&world.usual(1), 2).await;
    let (link, _) = two.up().await;
    let commitments = vec![crate::frost::RawCommitment([1; 64]); MAX_COMMITMENTS];
    let mut refused = None;
    for _ in 0..100_000 {
        if let Err(error) = link.send(Message::Commitments(commitments.clone())) {
            refused = Some(error);
            break;
        }
        // tonic takes what it can, until the window of the other side is used up.
        tokio::task::yield_now().await;
    }
    assert_eq!(refused, Some(LinkError::Full(id(1))));
    assert_eq!(two.down().await.2, Ending::NotReading.to_string());
    one.end().await;
}

#[tokio::test]
async fn both_ends_send_small_messages_at_once() {
    let mut world = World::new(2).await;
    let (one, two) = (world.usual(1), world.usual(2));
    let listener = world.listeners[1].take().unwrap();
    let acceptor = two.server_tls().unwrap().into();
    let accepted = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve::handshake(stream, &acceptor, &two).await.unwrap()
    };
    let dialer = Dialer::new(&one, id(2)).unwrap();
    let (accepted, dialled) = tokio::join!(accepted, dialer.connect());
    assert!(accepted.nodelay() && dialled.unwrap().nodelay());
}
