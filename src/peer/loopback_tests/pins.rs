//! Who gets in.

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;

use super::*;
use crate::peer::tls;

/// The alert that a caller gets from member 1.
async fn alert(world: &World, config: Arc<ClientConfig>) -> AlertDescription {
    let tcp = TcpStream::connect(&world.addresses[0]).await.unwrap();
    let name = ServerName::try_from("cosigner").unwrap();
    // In TLS 1.3 the client is done before the server has judged it.
    let refused = match TlsConnector::from(config).connect(name, tcp).await {
        Ok(mut stream) => timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    match refused.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(&rustls::Error::AlertReceived(alert)) => alert,
        _ => panic!("an alert, not {refused:?}"),
    }
}

#[tokio::test]
async fn a_caller_without_a_listed_certificate_is_refused() {
    let mut world = World::new(2).await;
    let mut one = world.start(1);
    let pin = world.identities[0].pin();
    let stranger = tls::client_config(&Identity::generate().unwrap(), pin).unwrap();
    assert_eq!(alert(&world, stranger).await, AlertDescription::CertificateUnknown);
    let thief_of_our_own = tls::client_config(&world.identities[0], pin).unwrap();
    assert_eq!(alert(&world, thief_of_our_own).await, AlertDescription::CertificateUnknown);
    let mut nobody = (*tls::client_config(&world.identities[1], pin).unwrap()).clone();
    nobody.client_auth_cert_resolver = Arc::new(NoCertificate);
    assert_eq!(alert(&world, Arc::new(nobody)).await, AlertDescription::CertificateRequired);
    assert!(one.events.try_recv().is_err());
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Shows one member's certificate without having its key.
#[tokio::test]
async fn a_copied_certificate_is_worth_nothing_without_its_key() {
    let mut world = World::new(2).await;
    let _one = world.start(1);
    let pin = world.identities[0].pin();
    let mut config = (*tls::client_config(&world.identities[1], pin).unwrap()).clone();
    let mut copied = world.identities[1].certified_key().unwrap();
    copied.key = Identity::generate().unwrap().certified_key().unwrap().key;
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(copied));
    assert_eq!(alert(&world, Arc::new(config)).await, AlertDescription::DecryptError);
}

#[tokio::test]
async fn a_member_at_another_members_address_is_not_taken_for_it() {
    let mut world = World::new(3).await;
    let _three = world.start(3);
    let mut one = world.usual(1);
    one.addresses.insert(id(2), world.addresses[2].clone());
    let refused = Dialer::new(&one, id(2)).unwrap().connect().await.err().unwrap().to_string();
    let expected = format!(
        "{} is not the member: it shows the certificate {}, the member list says {}",
        world.addresses[2],
        world.identities[2].pin(),
        world.identities[1].pin()
    );
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_member_speaks_for_itself_whatever_it_says() {
    let mut world = World::new(3).await;
    let mut three = world.start(3);
    // Member 1 greets as member 2 would.
    let mut one = world.usual(1);
    one.hello = world.usual(2).hello;
    let puppet = Puppet::greet(&one, 3).await;
    assert_eq!(three.up().await.0.peer, id(1));
    puppet.send(Message::Ping(1)).await;
    assert_eq!(three.message().await.0, id(1));
}

#[tokio::test]
async fn the_higher_member_does_not_dial_the_lower() {
    let mut world = World::new(2).await;
    let mut one = world.start(1);
    let two = world.usual(2);
    let refused = Puppet::connect(&two, 1, vec![wire::encode_hello(&two.hello)]).await;
    let status = refused.err().unwrap();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "member 1 dials member 2, not the other way round");
    assert!(one.events.try_recv().is_err());
}

#[tokio::test]
async fn an_identity_of_another_split_does_not_even_start() {
    let world = World::new(2).await;
    let mut setup = world.usual(1);
    setup.identity = Identity::generate().unwrap();
    assert!(matches!(setup.check(), Err(SetupError::OtherIdentity { .. })));
    assert!(matches!(RaftChannels::new(Arc::new(setup)), Err(SetupError::OtherIdentity { .. })));
}
