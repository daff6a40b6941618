use proptest::prelude::*;

use super::super::fixtures::{
    ADDRESS, BLOCK, CHAIN, TIME, block, bytes, message, precommit, proposal as proposal_fields,
    proposal_request, vote_request,
};
use super::*;
use crate::privval::{RawBytes, Version, sign_bytes};

/// The vector's request after a change.
fn changed_vote(change: impl FnOnce(&mut proto::SignVoteRequest, &mut proto::Vote)) -> Vec<u8> {
    let mut request = vote_request();
    let mut vote = request.vote.take().unwrap();
    change(&mut request, &mut vote);
    request.vote = Some(vote);
    message(Sum::SignVoteRequest(request))
}

fn changed_proposal(change: impl FnOnce(&mut proto::Proposal)) -> Vec<u8> {
    let mut request = proposal_request();
    change(request.proposal.as_mut().unwrap());
    message(Sum::SignProposalRequest(request))
}

fn sign_request(body: &[u8]) -> SignRequest {
    match parse(body) {
        Ok(Request::Sign { request, .. }) => request,
        other => panic!("not a request to sign: {other:?}"),
    }
}

fn refusal(body: &[u8]) -> (ReplyKind, InvalidRequest) {
    match parse(body) {
        Err(RequestError::Invalid { kind, reason }) => (kind, reason),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn reads_the_vote_request_of_cometbft() {
    let frame = bytes(&[
        "1a88010a78080210b96018022248",
        BLOCK,
        "2a08",
        TIME,
        "3214",
        ADDRESS,
        "38034a03657874120c746573742d636861696e2d31",
    ]);
    assert_eq!(frame.len(), 0x8b);
    assert_eq!(frame, changed_vote(|_, _| ()));
    let Ok(Request::Sign { chain, request, echo }) = parse(&frame) else { panic!("a request") };
    assert_eq!(chain, CHAIN);
    assert_eq!(request.fields, precommit());
    assert_eq!(request.extension, Some(Extension::new("ext")));
    assert_eq!(echo.kind(), ReplyKind::Vote);
}

#[test]
fn reads_a_proposal_request() {
    let request = sign_request(&changed_proposal(|_| ()));
    assert_eq!(request, SignRequest { fields: proposal_fields(0, -1), extension: None });
}

#[test]
fn reads_the_requests_that_sign_nothing() {
    let key = proto::PubKeyRequest { chain_id: CHAIN.to_owned() };
    let expected = Request::PublicKey { chain: CHAIN.to_owned() };
    assert_eq!(parse(&message(Sum::PubKeyRequest(key))), Ok(expected));
    assert_eq!(parse(&bytes(&["3a00"])), Ok(Request::Ping));
    // v1 SignBytes, and Celestia's request with a chain id, bytes and an id.
    let plain =
        |bytes: &[u8]| Request::Raw { chain: None, message: RawMessage::Plain(bytes.into()) };
    assert_eq!(parse(&bytes(&["4a020a00"])), Ok(plain(b"")));
    assert_eq!(parse(&bytes(&["4a050a03612d31"])), Ok(plain(b"a-1")));
    let celestia = |raw_bytes: &[u8], unique_id: &str| Request::Raw {
        chain: Some("a-1".to_owned()),
        message: RawMessage::Celestia { raw_bytes: raw_bytes.into(), unique_id: unique_id.into() },
    };
    let ff = [0xff, 0xff];
    assert_eq!(parse(&bytes(&["4a0c0a03612d311202ffff1a0131"])), Ok(celestia(&ff, "1")));
    assert_eq!(parse(&bytes(&["4a090a03612d311202ffff"])), Ok(celestia(&ff, "")));
    assert_eq!(parse(&bytes(&["4a080a03612d311a0131"])), Ok(celestia(b"", "1")));
    // Nothing, a field from the future, a response.
    assert_eq!(parse(&[]), Ok(Request::Unknown));
    assert_eq!(parse(&bytes(&["fa0100"])), Ok(Request::Unknown));
    assert_eq!(parse(&bytes(&["4200"])), Ok(Request::Unknown));
}

#[test]
fn asks_for_an_extension_signature_exactly_where_every_release_wants_one() {
    let extension = |kind: i32, nil: bool, bytes: &[u8], skip: bool| {
        let body = changed_vote(|request, vote| {
            request.skip_extension_signing = skip;
            vote.r#type = kind;
            vote.extension = bytes.to_vec();
            if nil {
                vote.block_id = Some(proto::BlockId::default());
            }
        });
        match parse(&body) {
            Ok(Request::Sign { request, .. }) => Ok(request.extension),
            Err(RequestError::Invalid { kind: ReplyKind::Vote, reason }) => Err(reason),
            other => panic!("{other:?}"),
        }
    };
    let (prevote, precommit) = (1, 2);
    assert_eq!(extension(precommit, false, b"ext", false), Ok(Some(Extension::new("ext"))));
    assert_eq!(extension(precommit, false, b"", false), Ok(Some(Extension::new(""))));
    assert_eq!(extension(precommit, false, b"ext", true), Ok(None));
    assert_eq!(extension(precommit, false, b"", true), Ok(None));
    assert_eq!(extension(precommit, true, b"", false), Ok(None));
    assert_eq!(extension(prevote, false, b"", false), Ok(None));
    assert_eq!(extension(prevote, true, b"", false), Ok(None));
    for skip in [false, true] {
        for (kind, nil) in [(precommit, true), (prevote, false), (prevote, true)] {
            let refused = Err(InvalidRequest::UnexpectedExtension);
            assert_eq!(extension(kind, nil, b"ext", skip), refused);
        }
    }
    assert_eq!(
        InvalidRequest::UnexpectedExtension.to_string(),
        "unexpected vote extension - extensions are only allowed in non-nil precommits"
    );
}

#[test]
fn an_absent_timestamp_is_gos_zero_and_an_empty_one_the_epoch() {
    let timestamp = |value| sign_request(&changed_vote(|_, vote| vote.timestamp = value)).fields;
    assert_eq!(timestamp(None).timestamp(), Timestamp::GO_ZERO);
    let epoch = Timestamp::new(0, 0).unwrap();
    assert_eq!(timestamp(Some(proto::Timestamp::default())).timestamp(), epoch);
    let absent = sign_request(&changed_proposal(|proposal| proposal.timestamp = None)).fields;
    assert_eq!(absent.timestamp(), Timestamp::GO_ZERO);
}

#[test]
fn a_block_id_is_nil_only_if_all_of_it_is_empty() {
    let block_id = |hash: Vec<u8>, total, parts_hash: Vec<u8>| {
        let part_set_header = Some(proto::PartSetHeader { total, hash: parts_hash });
        let block_id = Some(proto::BlockId { hash, part_set_header });
        let body = changed_vote(|_, vote| {
            vote.block_id = block_id;
            vote.extension.clear();
        });
        sign_request(&body).fields.block_id().cloned()
    };
    assert_eq!(block_id(vec![], 0, vec![]), None);
    assert_eq!(block_id(vec![0xaa; 32], 7, vec![0xbb; 32]), Some(block()));
    assert!(block_id(vec![0; 32], 0, vec![]).is_some());
    assert!(block_id(vec![], 1, vec![]).is_some());
    assert!(block_id(vec![], 0, vec![0; 32]).is_some());
    let absent = changed_vote(|_, vote| {
        vote.block_id = None;
        vote.extension.clear();
    });
    assert_eq!(sign_request(&absent).fields.block_id(), None);
}

#[test]
fn refuses_a_vote_that_cannot_be_signed_with_an_answer_of_its_kind() {
    type Change = fn(&mut proto::SignVoteRequest, &mut proto::Vote);
    let length = |what, expected, found| InvalidRequest::Length { what, expected, found };
    let cases: [(Change, InvalidRequest); 14] = [
        (|request, _| request.chain_id.clear(), ChainIdError::Empty.into()),
        (
            |request, _| request.chain_id = "x".repeat(51),
            ChainIdError::TooLong { bytes: 51 }.into(),
        ),
        (|_, vote| vote.r#type = 0, InvalidRequest::VoteType(0)),
        (|_, vote| vote.r#type = 3, InvalidRequest::VoteType(3)),
        (|_, vote| vote.r#type = 32, InvalidRequest::VoteType(32)),
        (|_, vote| vote.height = -1, HrsError::NegativeHeight(-1).into()),
        (|_, vote| vote.round = -1, HrsError::NegativeRound(-1).into()),
        (|_, vote| vote.timestamp.as_mut().unwrap().nanos = -1, TimestampError::Nanos(-1).into()),
        (
            |_, vote| vote.timestamp.as_mut().unwrap().seconds = i64::MAX,
            TimestampError::Seconds(i64::MAX).into(),
        ),
        (
            |_, vote| vote.block_id.as_mut().unwrap().hash = vec![1; 31],
            length("block hash", 32, 31),
        ),
        (
            |_, vote| {
                let parts = &mut vote.block_id.as_mut().unwrap().part_set_header;
                parts.as_mut().unwrap().hash = vec![1; 33];
            },
            length("part-set hash", 32, 33),
        ),
        (|_, vote| vote.validator_address = vec![1; 9000], length("validator address", 20, 9000)),
        (|_, vote| vote.non_rp_extension = vec![1], InvalidRequest::NonRpExtension),
        (|_, vote| vote.block_id = None, InvalidRequest::UnexpectedExtension),
    ];
    for (change, reason) in cases {
        assert_eq!(refusal(&changed_vote(change)), (ReplyKind::Vote, reason));
    }
    let empty = proto::SignVoteRequest { vote: None, ..vote_request() };
    let refused = refusal(&message(Sum::SignVoteRequest(empty)));
    assert_eq!(refused, (ReplyKind::Vote, InvalidRequest::MissingVote));
}

#[test]
fn refuses_a_proposal_that_cannot_be_signed_with_an_answer_of_its_kind() {
    type Change = fn(&mut proto::Proposal);
    let cases: [(Change, InvalidRequest); 6] = [
        (|proposal| proposal.r#type = 0, InvalidRequest::ProposalType(0)),
        (|proposal| proposal.r#type = 1, InvalidRequest::ProposalType(1)),
        (|proposal| proposal.pol_round = -2, InvalidRequest::PolRound(-2)),
        (|proposal| proposal.height = i64::MIN, HrsError::NegativeHeight(i64::MIN).into()),
        (|proposal| proposal.round = -5, HrsError::NegativeRound(-5).into()),
        (
            |proposal| proposal.block_id.as_mut().unwrap().hash = vec![1; 20],
            InvalidRequest::Length { what: "block hash", expected: 32, found: 20 },
        ),
    ];
    for (change, reason) in cases {
        assert_eq!(refusal(&changed_proposal(change)), (ReplyKind::Proposal, reason));
    }
    let empty = proto::SignProposalRequest { proposal: None, ..proposal_request() };
    let refused = refusal(&message(Sum::SignProposalRequest(empty)));
    assert_eq!(refused, (ReplyKind::Proposal, InvalidRequest::MissingProposal));
}

#[test]
fn refuses_a_public_key_request_without_a_chain() {
    let request = message(Sum::PubKeyRequest(proto::PubKeyRequest::default()));
    assert_eq!(refusal(&request), (ReplyKind::PublicKey, ChainIdError::Empty.into()));
}

#[test]
fn gives_no_answer_to_what_is_not_protobuf_and_one_to_what_is_not_valid() {
    let malformed = parse(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert!(matches!(malformed, RequestError::Malformed(_)));
    assert_eq!(malformed.reply(), None);
    let cut_off = changed_vote(|_, _| ());
    assert!(matches!(parse(&cut_off[..cut_off.len() - 1]), Err(RequestError::Malformed(_))));

    let refused = parse(&changed_vote(|_, vote| vote.height = -1)).unwrap_err();
    let expected = Reply::Error {
        kind: ReplyKind::Vote,
        description: "error signing vote: height -1 is negative".to_owned(),
    };
    assert_eq!(refused.reply(), Some(expected));
}

proptest! {
    #[test]
    fn reads_any_bytes_without_panic(
        random in proptest::collection::vec(any::<u8>(), 0..300),
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let _ = parse(&random);
        for mut damaged in [changed_vote(|_, _| ()), changed_proposal(|_| ())] {
            for (position, byte) in &noise {
                let position = position.index(damaged.len());
                damaged[position] = *byte;
            }
            if let Ok(Request::Sign { request, .. }) = parse(&damaged) {
                prop_assert!(request.extension.is_none() || request.fields.may_carry_extension());
            }
        }
    }
}

#[test]
fn refuses_raw_bytes_for_no_chain_and_under_a_name_that_is_no_text() {
    let reason = |hex: &str| match parse(&bytes(&[hex])) {
        Err(RequestError::Invalid { kind: ReplyKind::Bytes, reason }) => reason.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason("4a0a0a016112021234 1a01ff".replace(' ', "").as_str()),
        "the unique id is not UTF-8"
    );
    assert_eq!(reason("4a080a02ff611202ffff"), "the chain id is not UTF-8");
    assert!(parse(&bytes(&["4a041202ffff"])).unwrap_err().reply().is_some());
}

const V2: Dialect =
    Dialect { version: Version::V2, non_rp_extensions: true, raw_bytes: RawBytes::Off };

/// The extension of a vote request of v2, or why it is refused.
fn v2_extension(
    kind: i32,
    nil: bool,
    raw: &[u8],
    skip: bool,
) -> Result<Option<Extension>, InvalidRequest> {
    let body = changed_vote(|request, vote| {
        request.skip_extension_signing = skip;
        vote.r#type = kind;
        vote.extension.clear();
        vote.non_rp_extension = raw.to_vec();
        if nil {
            vote.block_id = None;
        }
    });
    match parse_for(&body, &V2) {
        Ok(Request::Sign { request, .. }) => Ok(request.extension),
        Err(RequestError::Invalid { kind: ReplyKind::Vote, reason }) => Err(reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn where_a_chain_wants_it_every_extension_has_bytes_without_replay_protection() {
    let (prevote, precommit) = (1, 2);
    for raw in [b"".as_slice(), b"raw bytes"] {
        let both = Extension::new("").with_non_rp(raw.to_vec());
        assert_eq!(v2_extension(precommit, false, raw, false), Ok(Some(both)));
        assert_eq!(v2_extension(precommit, false, raw, true), Ok(None));
    }
    for (kind, nil) in [(precommit, true), (prevote, false)] {
        assert_eq!(v2_extension(kind, nil, b"", false), Ok(None));
        let refused = Err(InvalidRequest::UnexpectedExtension);
        assert_eq!(v2_extension(kind, nil, b"raw", false), refused);
    }
}

#[test]
fn an_extension_without_replay_protection_that_could_be_a_vote_of_any_chain_is_refused() {
    let elsewhere = ChainId::new("another-chain").unwrap();
    for fields in [precommit(), proposal_fields(3, 1)] {
        let refused = v2_extension(2, false, &sign_bytes(&elsewhere, &fields), false);
        assert!(matches!(refused, Err(InvalidRequest::RawRefused(RawRefused::Consensus(_)))));
    }
    let hrs = precommit().hrs();
    let extension = Extension::new("x").sign_bytes(&elsewhere, hrs);
    let refused = v2_extension(2, false, &extension, false);
    assert!(matches!(refused, Err(InvalidRequest::RawRefused(_))), "{refused:?}");
}

#[test]
fn refuses_extensions_that_are_longer_than_cometbft_gossips() {
    let found = MAX_EXTENSION_BYTES + 1;
    let long = changed_vote(|_, vote| vote.extension = vec![1; found]);
    assert_eq!(refusal(&long), (ReplyKind::Vote, InvalidRequest::ExtensionTooLong { found }));
    let refused = v2_extension(2, false, &vec![1; found], false);
    assert_eq!(refused, Err(InvalidRequest::ExtensionTooLong { found }));
    let longest = v2_extension(2, false, &vec![1; found - 1], false);
    assert_eq!(longest.unwrap().unwrap().total_bytes(), MAX_EXTENSION_BYTES);
}
