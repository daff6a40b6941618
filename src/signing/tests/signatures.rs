//! What validators get: signatures, repeats, denials.

use super::cluster::{Cluster, chain, id, precommit, prevote, proposal};
use crate::peer::Signed;
use crate::privval::{extension_sign_bytes, sign_bytes};
use crate::signing::{Reply, Verdict};
use crate::watermark::Denial;

fn signed(reply: Reply) -> Signed {
    match reply.verdict {
        Verdict::Signed(signed) => signed,
        other => panic!("not signed: {other:?}"),
    }
}

fn repeated(reply: Reply) -> Signed {
    match reply.verdict {
        Verdict::Repeated(signed) => signed,
        other => panic!("not repeated: {other:?}"),
    }
}

fn denied(reply: Reply) -> Denial {
    match reply.verdict {
        Verdict::Denied(denial) => denial,
        other => panic!("not denied: {other:?}"),
    }
}

#[test]
fn signs_at_the_leader_and_through_followers() {
    let mut cluster = Cluster::new(2, 3);
    for (height, at) in [(1, 1), (2, 2), (3, 3)] {
        for fields in [proposal(height, 1, 5), prevote(height, 1, 6), precommit(height, 1, 7)] {
            let answer = signed(cluster.answer(id(at), fields.clone(), None));
            assert_eq!(answer.timestamp, fields.timestamp());
            let signature = answer.signature.as_bytes().try_into().unwrap();
            let message = sign_bytes(&chain(), &fields);
            cluster.assert_verifies(&message, signature);
        }
    }
    assert_eq!(cluster.nodes[&id(1)].replicated.len(), 9);
}

#[test]
fn larger_clusters_sign_too() {
    for (t, n) in [(3, 5), (4, 7), (8, 15), (3, 4)] {
        let mut cluster = Cluster::new(t, n);
        signed(cluster.answer(id(u64::from(n)), precommit(1, 1, 7), None));
    }
}

#[test]
fn a_repeat_gets_the_same_bytes() {
    let mut cluster = Cluster::new(2, 3);
    let first = signed(cluster.answer(id(1), prevote(5, 1, 6), None));
    assert_eq!(repeated(cluster.answer(id(1), prevote(5, 1, 6), None)), first);
    assert_eq!(repeated(cluster.answer(id(3), prevote(5, 1, 6), None)), first);
}

#[test]
fn a_repeat_with_a_new_timestamp_gets_the_old_signature_and_timestamp() {
    let mut cluster = Cluster::new(2, 3);
    let first = signed(cluster.answer(id(2), prevote(5, 1, 6), None));
    assert_eq!(repeated(cluster.answer(id(3), prevote(5, 1, 60), None)), first);
    let proposed = signed(cluster.answer(id(2), proposal(6, 1, 6), None));
    assert_eq!(repeated(cluster.answer(id(1), proposal(6, 1, 60), None)), proposed);
}

#[test]
fn a_conflict_and_every_regression_are_denied() {
    let mut cluster = Cluster::new(2, 3);
    signed(cluster.answer(id(1), precommit(5, 1, 6), None));
    let conflict = denied(cluster.answer(id(2), precommit(5, 2, 6), None));
    assert!(matches!(conflict, Denial::ConflictingData { .. }));
    let nil = denied(cluster.answer(id(3), precommit(5, 0, 6), None));
    assert!(matches!(nil, Denial::ConflictingData { .. }));
    let step = denied(cluster.answer(id(1), prevote(5, 1, 6), None));
    assert!(matches!(step, Denial::StepRegression { .. }));
    let height = denied(cluster.answer(id(1), precommit(4, 1, 6), None));
    assert!(matches!(height, Denial::HeightRegression { .. }));
}

#[test]
fn conflicting_requests_at_three_members_at_once_get_one_content() {
    let mut cluster = Cluster::new(2, 3);
    for height in 1..40 {
        let tickets: Vec<_> = (1..=3_u8)
            .map(|at| (at, cluster.ask(id(u64::from(at)), prevote(height, at, 6), None)))
            .collect();
        cluster.run();
        let mut winners = 0;
        for (at, ticket) in tickets {
            match cluster.reply(id(u64::from(at)), ticket).unwrap().verdict {
                Verdict::Signed(_) => winners += 1,
                Verdict::Denied(Denial::ConflictingData { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1, "height {height}");
    }
}

#[test]
fn the_same_request_at_three_members_at_once_gets_one_signature() {
    let mut cluster = Cluster::new(2, 3);
    let asked = [(1, 6), (2, 7), (3, 8)];
    let tickets = asked.map(|(at, time)| (at, cluster.ask(id(at), prevote(9, 1, time), None)));
    cluster.run();
    let answers =
        tickets.map(|(at, ticket)| match cluster.reply(id(at), ticket).unwrap().verdict {
            Verdict::Signed(signed) | Verdict::Repeated(signed) => signed,
            other => panic!("{other:?}"),
        });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[test]
fn extensions_are_signed_with_their_precommit_and_anew_on_a_repeat() {
    let mut cluster = Cluster::new(2, 3);
    let fields = precommit(5, 1, 6);
    let check = |cluster: &Cluster, signed: &Signed, extension: &[u8]| {
        let signature = signed.extension_signature.as_ref().unwrap();
        let hrs = fields.hrs();
        let message = extension_sign_bytes(&chain(), hrs.height, hrs.round, extension);
        let signature = signature.replay_protected.as_bytes().try_into().unwrap();
        cluster.assert_verifies(&message, signature);
    };
    let first = signed(cluster.answer(id(2), fields.clone(), Some(b"one")));
    check(&cluster, &first, b"one");
    let second = repeated(cluster.answer(id(3), precommit(5, 1, 66), Some(b"two")));
    check(&cluster, &second, b"two");
    assert_eq!(second.signature, first.signature);
    assert_eq!(second.timestamp, first.timestamp);
    let empty = repeated(cluster.answer(id(1), fields.clone(), Some(b"")));
    check(&cluster, &empty, b"");
}

#[test]
fn the_seventeenth_extension_is_denied_as_a_whole() {
    let mut cluster = Cluster::new(2, 3);
    signed(cluster.answer(id(1), precommit(5, 1, 6), Some(&[0])));
    for extension in 1..16 {
        repeated(cluster.answer(id(1), precommit(5, 1, 6), Some(&[extension])));
        cluster.fill_pools();
    }
    let denial = denied(cluster.answer(id(1), precommit(5, 1, 6), Some(&[16])));
    assert!(matches!(denial, Denial::TooManyExtensions { limit: 16, .. }));
    signed(cluster.answer(id(1), precommit(6, 1, 6), Some(&[16])));
}

#[test]
fn a_height_jump_is_denied_and_burns_nothing() {
    let mut cluster = Cluster::new(2, 3);
    signed(cluster.answer(id(1), prevote(100, 1, 6), None));
    let denial = denied(cluster.answer(id(2), prevote(1_000_000, 1, 6), None));
    assert!(matches!(denial, Denial::HeightJump { .. }));
    signed(cluster.answer(id(2), prevote(101, 1, 6), None));
}
