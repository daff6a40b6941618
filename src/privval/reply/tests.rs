use prost::Message as _;

use super::super::fixtures::{
    ADDRESS, BLOCK, GO_ZERO_TIME, TIME, bytes, message, proposal_request, time, vote_request,
};
use super::super::{Dialect, Request, Version, parse, parse_for, proto};
use super::*;

const PUBLIC_KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

fn public_key() -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, hex::decode(PUBLIC_KEY).unwrap()).unwrap()
}

fn signature(byte: u8) -> Signature {
    Signature::new(Algorithm::Ed25519, vec![byte; 64])
}

fn extension_signature(byte: u8) -> Option<ExtensionSignature> {
    Some(ExtensionSignature { replay_protected: signature(byte), non_rp: None })
}

fn echo(body: &[u8]) -> Echo {
    match parse(body) {
        Ok(Request::Sign { echo, .. }) => *echo,
        other => panic!("not a request to sign: {other:?}"),
    }
}

fn vote_echo(change: impl FnOnce(&mut proto::Vote)) -> Echo {
    let mut request = vote_request();
    change(request.vote.as_mut().unwrap());
    echo(&message(proto::message::Sum::SignVoteRequest(request)))
}

/// `PubKeyResponse` as CometBFT v0.34 to v0.40 knows it.
#[derive(Clone, PartialEq, prost::Message)]
struct OldPubKeyResponse {
    #[prost(message, optional, tag = "1")]
    pub_key: Option<proto::PublicKey>,
    #[prost(message, optional, tag = "2")]
    error: Option<proto::RemoteSignerError>,
}

/// `PubKeyResponse` as v1 and v2 know it.
#[derive(Clone, PartialEq, prost::Message)]
struct NewPubKeyResponse {
    #[prost(message, optional, tag = "2")]
    error: Option<proto::RemoteSignerError>,
    #[prost(bytes = "vec", tag = "3")]
    pub_key_bytes: Vec<u8>,
    #[prost(string, tag = "4")]
    pub_key_type: String,
}

#[test]
fn every_release_finds_the_public_key_in_one_reply() {
    let version = Version::V1;
    let written = Reply::PublicKey { key: public_key(), version }.encode();
    assert_eq!(Reply::PublicKey { key: public_key(), version: Version::V2 }.encode(), written);
    let expected = ["51124f0a220a20", PUBLIC_KEY, "1a20", PUBLIC_KEY, "220765643235353139"];
    assert_eq!(written, bytes(&expected));
    let response = &written[3..];
    let old = OldPubKeyResponse::decode(response).unwrap();
    let key = hex::decode(PUBLIC_KEY).unwrap();
    let sum = Some(proto::public_key::Sum::Ed25519(key.clone()));
    assert_eq!(old, OldPubKeyResponse { pub_key: Some(proto::PublicKey { sum }), error: None });
    let new = NewPubKeyResponse::decode(response).unwrap();
    let pub_key_type = "ed25519".to_owned();
    assert_eq!(new, NewPubKeyResponse { error: None, pub_key_bytes: key, pub_key_type });
}

/// The curve's generator, with one coordinate and with both.
const POINT: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const WHOLE_POINT: &str = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                           483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

#[test]
fn keys_of_other_algorithms_are_written_as_the_validators_line_writes_them() {
    let encoded = |algorithm, key: &str, version| {
        let key = PublicKey::new(algorithm, hex::decode(key).unwrap()).unwrap();
        Reply::PublicKey { key, version }.encode()
    };
    let name = |algorithm: Algorithm| hex::encode(algorithm.name());
    for version in [Version::V1, Version::V2] {
        let algorithm = Algorithm::Secp256k1;
        let expected = ["5512530a231221", POINT, "1a21", POINT, "2209", &name(algorithm)];
        assert_eq!(encoded(algorithm, POINT, version), bytes(&expected));
        let algorithm = Algorithm::MlDsa65;
        let key = "5a".repeat(1952);
        let head = "d71e 12d41e 0aa30f 22a00f".replace(' ', "");
        let expected = [head.as_str(), key.as_str(), "1aa00f", &key, "2209", &name(algorithm)];
        assert_eq!(encoded(algorithm, &key, version), bytes(&expected));
    }
    let (algorithm, name) = (Algorithm::Secp256k1Eth, name(Algorithm::Secp256k1Eth));
    let expected = ["5812560a232a21", POINT, "1a21", POINT, "220c", &name];
    assert_eq!(encoded(algorithm, POINT, Version::V1), bytes(&expected));
    let head = "99011296010a432241";
    let expected = [head, WHOLE_POINT, "1a41", WHOLE_POINT, "220c", &name];
    assert_eq!(encoded(algorithm, POINT, Version::V2), bytes(&expected));
}

/// Three signatures of 3309 bytes each: more than that, and validators would not read it.
#[test]
fn a_vote_with_the_longest_signatures_fits_into_what_validators_read() {
    let longest = || Signature::new(Algorithm::MlDsa65, vec![0xcc; 3309]);
    let extension = ExtensionSignature { replay_protected: longest(), non_rp: Some(longest()) };
    let v2 = Dialect { version: Version::V2, non_rp_extensions: true, ..Dialect::default() };
    let request = message(proto::message::Sum::SignVoteRequest(vote_request()));
    let Ok(Request::Sign { echo, .. }) = parse_for(&request, &v2) else { panic!("no vote") };
    let length = echo.signed(longest(), time(), Some(extension)).unwrap().encode().len();
    assert!(length > 9927 && length < 10_240, "{length}");
}

#[test]
fn a_signed_vote_repeats_the_request_without_its_extension() {
    let reply =
        vote_echo(|_| ()).signed(signature(0xcc), time(), extension_signature(0xdd)).unwrap();
    let (signature, extension_signature) = ("cc".repeat(64), "dd".repeat(64));
    let expected = [
        "fd0122fa010af701080210b96018022248",
        BLOCK,
        "2a08",
        TIME,
        "3214",
        ADDRESS,
        "38034240",
        &signature,
        "5240",
        &extension_signature,
    ];
    assert_eq!(reply.encode(), bytes(&expected));
}

#[test]
fn a_signed_nil_prevote_keeps_the_empty_messages_of_gogoproto() {
    let echo = vote_echo(|vote| {
        *vote = proto::Vote { r#type: 1, height: 1, ..proto::Vote::default() };
        vote.timestamp = Some(proto::Timestamp::default());
    });
    let epoch = Timestamp::new(0, 0).unwrap();
    let reply = echo.signed(signature(0xcc), epoch, None).unwrap();
    let expected = ["5022 4e 0a4c 0801 1001 22021200 2a00 4240".replace(' ', ""), "cc".repeat(64)];
    assert_eq!(reply.encode(), bytes(&[&expected[0], &expected[1]]));
}

#[test]
fn a_signed_proposal_repeats_the_request() {
    let echo = echo(&message(proto::message::Sum::SignProposalRequest(proposal_request())));
    let reply = echo.signed(signature(0xcc), time(), None).unwrap();
    let signature = "cc".repeat(64);
    let expected = [
        "ac01 32a901 0aa601 0820 10b960 20ffffffffffffffffff01 2a48",
        BLOCK,
        "3208",
        TIME,
        "3a40",
        &signature,
    ];
    assert_eq!(reply.encode(), bytes(&[&expected.concat().replace(' ', "")]));
}

#[test]
fn a_repeated_vote_carries_the_timestamp_that_was_signed_first() {
    let first = Timestamp::new(1_704_164_600, 1).unwrap();
    let reply = vote_echo(|_| ()).signed(signature(1), first, extension_signature(2)).unwrap();
    let read = proto::Message::decode_length_delimited(reply.encode().as_slice()).unwrap();
    let Some(proto::message::Sum::SignedVoteResponse(response)) = read.sum else {
        panic!("a signed vote")
    };
    let vote = response.vote.unwrap();
    assert_eq!(vote.timestamp, Some(proto::Timestamp { seconds: 1_704_164_600, nanos: 1 }));
    assert_eq!((vote.height, vote.round), (12345, 2));
}

#[test]
fn a_reply_fits_every_node_however_long_the_extension_is() {
    let echo = vote_echo(|vote| {
        vote.extension = vec![7; 1024 * 1024];
        vote.height = i64::MAX;
        vote.round = i32::MAX;
        vote.validator_index = -1;
    });
    let reply = echo.signed(signature(1), time(), extension_signature(2)).unwrap();
    assert!(reply.encode().len() < 400);
}

#[test]
fn an_extension_signature_is_sent_exactly_if_it_was_asked_for() {
    let asked = vote_echo(|vote| vote.extension.clear());
    let missing = asked.signed(signature(1), time(), None);
    assert_eq!(missing, Err(ReplyError::ExtensionSignatureMissing));
    let not_asked = vote_echo(|vote| {
        vote.r#type = 1;
        vote.extension.clear();
    });
    let unasked = not_asked.signed(signature(1), time(), extension_signature(2));
    assert_eq!(unasked, Err(ReplyError::ExtensionSignatureUnasked));
}

#[test]
fn errors_have_the_bytes_of_cometbft() {
    let text = |text: &str| hex::encode(text);
    let vote = ["2c222a0a11220212002a0b", GO_ZERO_TIME, "12151213", &text("unable to sign vote")];
    assert_eq!(Reply::wrong_chain(ReplyKind::Vote).encode(), bytes(&vote));
    let proposal =
        ["30322e0a112a021200320b", GO_ZERO_TIME, "12191217", &text("unable to sign proposal")];
    assert_eq!(Reply::wrong_chain(ReplyKind::Proposal).encode(), bytes(&proposal));
    let key = ["20121e0a00121a1218", &text("unable to provide pubkey")];
    assert_eq!(Reply::wrong_chain(ReplyKind::PublicKey).encode(), bytes(&key));
    let raw = ["1a521812161214", &text("unable to sign bytes")];
    assert_eq!(Reply::wrong_chain(ReplyKind::Bytes).encode(), bytes(&raw));
}

#[test]
fn a_refusal_has_the_words_of_cometbft() {
    let description = |kind| match Reply::error(kind, "conflicting data") {
        Reply::Error { description, .. } => description,
        other => panic!("{other:?}"),
    };
    assert_eq!(description(ReplyKind::Vote), "error signing vote: conflicting data");
    assert_eq!(description(ReplyKind::Proposal), "error signing proposal: conflicting data");
}

#[test]
fn a_long_description_is_cut_between_characters() {
    let reply = Reply::error(ReplyKind::Vote, "é".repeat(100_000));
    let written = reply.encode();
    assert!(written.len() < 2200, "{}", written.len());
    let read = proto::Message::decode_length_delimited(written.as_slice()).unwrap();
    let Some(proto::message::Sum::SignedVoteResponse(response)) = read.sum else {
        panic!("a signed vote response")
    };
    let description = response.error.unwrap().description;
    assert!(description.starts_with("error signing vote: éé") && description.len() > 2040);
}

#[test]
fn ping_and_the_empty_message_are_as_short_as_they_can_be() {
    assert_eq!(Reply::Ping.encode(), bytes(&["024200"]));
    assert_eq!(Reply::Empty.encode(), [0]);
}

#[test]
fn both_signatures_of_an_extension_of_v2_are_sent_or_none() {
    let v2 = Dialect { version: Version::V2, non_rp_extensions: true, ..Dialect::default() };
    for raw in [b"".as_slice(), b"raw"] {
        let mut request = vote_request();
        request.vote.as_mut().unwrap().non_rp_extension = raw.to_vec();
        let body = message(proto::message::Sum::SignVoteRequest(request));
        let Ok(Request::Sign { echo, .. }) = parse_for(&body, &v2) else { panic!("a request") };
        let alone = echo.clone().signed(signature(1), time(), extension_signature(2));
        assert_eq!(alone, Err(ReplyError::NonRpSignatureMissing));
        let (replay_protected, non_rp) = (signature(2), Some(signature(3)));
        let both = Some(ExtensionSignature { replay_protected, non_rp });
        let reply = echo.clone().signed(signature(1), time(), both.clone()).unwrap();
        let read = proto::Message::decode_length_delimited(reply.encode().as_slice()).unwrap();
        let Some(proto::message::Sum::SignedVoteResponse(response)) = read.sum else {
            panic!("a signed vote")
        };
        let vote = response.vote.unwrap();
        assert_eq!(vote.extension_signature, vec![2; 64]);
        assert_eq!(vote.non_rp_extension_signature, vec![3; 64]);
        assert_eq!((vote.extension, vote.non_rp_extension), (vec![], vec![]));
        assert_eq!(
            echo.signed(signature(1), time(), None),
            Err(ReplyError::ExtensionSignatureMissing)
        );
        let unasked = vote_echo(|_| ()).signed(signature(1), time(), both);
        assert_eq!(unasked, Err(ReplyError::NonRpSignatureUnasked));
    }
}
