//! A network that swallows everything without a word.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;

/// Forwards one connection until told to swallow; then it reads no more and closes nothing.
async fn forward(from: TcpStream, to: String, mut swallow: watch::Receiver<bool>) {
    let to = TcpStream::connect(to).await.unwrap();
    let ((mut from_read, mut from_write), (mut to_read, mut to_write)) =
        (from.into_split(), to.into_split());
    let there = async {
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = from_read.read(&mut buffer).await {
            if to_write.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = to_read.read(&mut buffer).await {
            if from_write.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = async { tokio::join!(there, back) } => return,
        _ = swallow.wait_for(|swallow| *swallow) => {}
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn both_sides_find_that_a_silent_network_has_gone() {
    let mut world = World::new(2).await;
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut one = world.usual(1);
    one.addresses.insert(id(2), hole.local_addr().unwrap().to_string());
    let (swallow, swallowing) = watch::channel(false);
    let address = world.addresses[1].clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = hole.accept().await {
            tokio::spawn(forward(stream, address.clone(), swallowing.clone()));
        }
    });
    let (mut one, mut two) = (world.start_with(one), world.start(2));
    let (link, _) = one.up().await;
    two.up().await;
    link.send(Message::Ping(1)).unwrap();
    assert_eq!(two.message().await.2, Message::Ping(1));
    swallow.send(true).unwrap();
    assert_eq!(one.down().await.0, id(2));
    assert_eq!(two.down().await.0, id(1));
    swallow.send(false).unwrap();
    one.up().await;
    two.up().await;
}
