//! Members on real sockets.

mod black_hole;
mod links;
mod pins;
mod raft;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::dial::{self, Dialer};
use super::wire::{self, Envelope, PeerClient};
use super::*;
use crate::types::{Cluster, Incarnation, Member, MemberId};

/// Far more than anything here takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn id(number: usize) -> MemberId {
    MemberId::new(number as u64).unwrap()
}

/// Identities and ports of the members to be.
struct World {
    identities: Vec<Identity>,
    listeners: Vec<Option<TcpListener>>,
    addresses: Vec<String>,
}

impl World {
    async fn new(members: usize) -> Self {
        let mut world = Self { identities: vec![], listeners: vec![], addresses: vec![] };
        for _ in 0..members {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            world.identities.push(Identity::generate().unwrap());
            world.addresses.push(listener.local_addr().unwrap().to_string());
            world.listeners.push(Some(listener));
        }
        world
    }

    /// The first so many as a cluster.
    fn cluster(&self, serial: u64, members: usize) -> Cluster {
        let members = (1..=members).map(|number| Member {
            id: id(number),
            address: self.addresses[number - 1].clone(),
            certificate: self.identities[number - 1].pin(),
        });
        Cluster::new(serial, members.collect(), vec![]).unwrap()
    }

    /// What member `me` needs, as it stands in a list.
    fn setup(&self, me: usize, cluster: Cluster) -> Setup {
        let hello = Hello {
            protocol: PROTOCOL,
            software: "0.1.0".into(),
            serial: cluster.serial(),
            members: cluster.members_hash(),
            incarnation: Incarnation { number: me as u64, id: [me as u8; 16] },
        };
        let identity = Identity::from_bytes(&self.identities[me - 1].to_bytes()).unwrap();
        Setup { me: id(me), identity, cluster, addresses: BTreeMap::new(), hello }
    }

    fn usual(&self, me: usize) -> Setup {
        self.setup(me, self.cluster(1, self.identities.len()))
    }

    /// Starts a member as it is listed.
    fn start(&mut self, me: usize) -> Node {
        let setup = self.usual(me);
        self.start_with(setup)
    }

    fn start_with(&mut self, setup: Setup) -> Node {
        let listener = self.listeners[usize::from(setup.me.get()) - 1].take().unwrap();
        Node::start(listener, setup)
    }
}

/// A running member.
struct Node {
    events: mpsc::UnboundedReceiver<Event>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Node {
    fn start(listener: TcpListener, setup: Setup) -> Self {
        let (sink, events) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let setup = Arc::new(setup);
        let served = tokio::spawn(async move {
            let served =
                serve(listener, setup.clone(), sink.clone(), raft::Echo, std::future::pending());
            tokio::select! {
                served = served => served.unwrap(),
                dialled = dial_all(setup, sink, std::future::pending()) => dialled.unwrap(),
                _ = stopped => {}
            }
        });
        Self { events, stop, served }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.unwrap();
    }

    async fn next(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").unwrap()
    }

    async fn up(&mut self) -> (Link, Hello) {
        match self.next().await {
            Event::Up { link, hello } => (link, hello),
            other => panic!("up, not {other:?}"),
        }
    }

    async fn message(&mut self) -> (MemberId, LinkId, Message, Permit) {
        match self.next().await {
            Event::Message { peer, link, message, permit } => (peer, link, *message, permit),
            other => panic!("a message, not {other:?}"),
        }
    }

    async fn down(&mut self) -> (MemberId, LinkId, String) {
        match self.next().await {
            Event::Down { peer, link, reason } => (peer, link, reason),
            other => panic!("down, not {other:?}"),
        }
    }
}

/// One end of a stream, driven by hand.
struct Puppet {
    send: mpsc::Sender<Envelope>,
    inbound: Streaming<Envelope>,
    _client: PeerClient<Channel>,
}

impl Puppet {
    /// Connects as `setup` says to `peer`, and sends these first.
    async fn connect(setup: &Setup, peer: usize, first: Vec<Envelope>) -> Result<Self, Status> {
        let dialer = Dialer::new(setup, id(peer)).unwrap();
        let stream = dialer.connect().await.unwrap();
        let client = dial::client(stream).await.unwrap();
        let mut client = client.max_encoding_message_size(usize::MAX);
        let (send, queue) = mpsc::channel(4096);
        for envelope in first {
            send.try_send(envelope).unwrap();
        }
        let inbound = client.exchange(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { send, inbound, _client: client })
    }

    /// The same, with a proper greeting on both sides.
    async fn greet(setup: &Setup, peer: usize) -> Self {
        let first = vec![wire::encode_hello(&setup.hello)];
        let mut puppet = Self::connect(setup, peer, first).await.unwrap();
        wire::decode_hello(puppet.inbound.message().await.unwrap().unwrap()).unwrap();
        puppet
    }

    async fn send(&self, message: Message) {
        self.send.send(wire::encode(message).unwrap().0).await.unwrap();
    }

    /// How the other side ends the stream, whatever it says before.
    async fn end(&mut self) -> Status {
        loop {
            let next = timeout(PATIENCE, self.inbound.message()).await.expect("an end in time");
            match next {
                Ok(Some(_)) => {}
                Ok(None) => panic!("an end with a status"),
                Err(status) => return status,
            }
        }
    }
}
