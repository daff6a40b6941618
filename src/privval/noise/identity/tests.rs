use super::*;

const ID: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";

fn seed() -> [u8; 32] {
    std::array::from_fn(|index| index as u8)
}

fn refusal(text: &str) -> IdentityError {
    Identity::parse(text.as_bytes()).unwrap_err()
}

#[test]
fn reads_the_file_that_it_writes_and_that_of_cosmos_kms() {
    let ours = Identity::from_seed(&seed()).unwrap();
    assert_eq!(ours.peer_id().to_string(), ID);
    let text = ours.render();
    assert_eq!(
        *text,
        "{\"priv_key\":{\"type\":\"tendermint/PrivKeyEd25519\",\"value\":\
         \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==\"}}\n"
    );
    assert!(text.len() < FILE_CAPACITY);
    assert_eq!(Identity::parse(text.as_bytes()).unwrap().peer_id(), ours.peer_id());
    // With blanks, as later CometBFT writes it.
    let wide = text.replace(":{", " : {\n ").replace("\",\"", "\",\n \"");
    assert_eq!(Identity::parse(wide.as_bytes()).unwrap().peer_id(), ours.peer_id());
    assert!(!format!("{ours:?}").contains("AAEC"));
}

#[test]
fn a_secp256k1_identity_is_as_good() {
    // The private key of libp2p's specification, and its id by libp2p itself.
    let secret = hex::decode("53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb");
    let secret = secret.unwrap();
    let text = format!(
        "{{\"priv_key\":{{\"type\":\"tendermint/PrivKeySecp256k1\",\"value\":\"{}\"}}}}\n",
        BASE64.encode(&secret)
    );
    let ours = Identity::parse(text.as_bytes()).unwrap();
    let theirs = libp2p_identity::secp256k1::SecretKey::try_from_bytes(secret.clone()).unwrap();
    let theirs: libp2p_identity::Keypair = libp2p_identity::secp256k1::Keypair::from(theirs).into();
    assert_eq!(ours.peer_id().to_string(), theirs.public().to_peer_id().to_string());
    assert_eq!(
        hex::encode(ours.peer_id().encoded_key()),
        "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99"
    );
    assert_eq!(*ours.render(), text);
    assert!(theirs.public().verify(b"message", &ours.sign(b"message")));
}

#[test]
fn two_identities_are_never_the_same() {
    let [one, other] = [(); 2].map(|()| Identity::generate().unwrap());
    assert_ne!(one.peer_id(), other.peer_id());
}

#[test]
fn refuses_what_is_no_identity_and_shows_no_value() {
    let good = Identity::from_seed(&seed()).unwrap().render().to_string();
    let halves = BASE64.encode([7; 64]);
    let value = good.split('"').nth(9).unwrap().to_owned();
    assert_eq!(refusal(&good.replace(&value, &halves)), IdentityError::Halves);
    assert_eq!(refusal(&good.replace(&value, &BASE64.encode(seed()))), IdentityError::Encoding(64));
    assert_eq!(refusal(&good.replace(&value, "!")), IdentityError::Encoding(64));
    assert_eq!(refusal(&good.replace(&value, &"A".repeat(1000))), IdentityError::Encoding(64));
    let other = good.replace("tendermint/PrivKeyEd25519", "cometbft/PrivKeyBls12_381");
    assert_eq!(refusal(&other), IdentityError::Type("cometbft/PrivKeyBls12_381".to_owned()));
    let zero = good.replace(ED25519, SECP256K1).replace(&value, &BASE64.encode([0; 32]));
    assert_eq!(refusal(&zero), IdentityError::Encoding(32));
    for text in ["", "{}", "[]", "{\"priv_key\":\"c2VjcmV0\"}"] {
        let refused = refusal(text);
        assert!(matches!(refused, IdentityError::Json { .. }), "{text}: {refused:?}");
        assert!(!refused.to_string().contains("c2VjcmV0"));
    }
}
