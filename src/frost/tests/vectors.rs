//! RFC 9591 Appendix E.1 and the other set of numbers that `frost-ed25519` tests itself with.
//!
//! A third set there, with identifiers 129, 256 and 257, guards against sorting identifiers by
//! their bytes. Members are numbered 1 to 15 here, where both orders are the same.

use curve25519_dalek::scalar::Scalar;
use serde_json::Value;

use super::*;

const RFC: &str = include_str!("../../../tests/vectors/rfc9591-frost-ed25519-sha512.json");
const ZF: &str = include_str!("../../../tests/vectors/zf-vectors.json");

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn bytes32(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn member(value: &Value) -> MemberId {
    id(value["identifier"].as_u64().unwrap())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

/// The group key, and every participant's share of it, checked against the given polynomial.
fn keys(inputs: &Value, public_key: &str) -> (VerifyingKey, BTreeMap<MemberId, SigningShare>) {
    let public_key = bytes32(&inputs[public_key]);
    let secret = SigningShare::from_bytes(&bytes32(&inputs["group_secret_key"])).unwrap();
    assert_eq!(secret.verifying_share().to_bytes(), public_key);
    let slope = bytes32(&list(inputs, "share_polynomial_coefficients")[0]);
    let slope = SigningShare::from_bytes(&slope).unwrap();

    let mut shares = BTreeMap::new();
    for entry in list(inputs, "participant_shares") {
        let member = member(entry);
        let share = SigningShare::from_bytes(&bytes32(&entry["participant_share"])).unwrap();
        let expected = secret.scalar() + slope.scalar() * Scalar::from(member.get());
        assert_eq!(*share.scalar(), expected);
        shares.insert(member, share);
    }
    let key = VerifyingKey::from_public_key(&PublicKey::ed25519(public_key)).unwrap();
    (key, shares)
}

fn reproduces_every_value(vectors: &str, public_key: &str) {
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let (key, shares) = keys(&vectors["inputs"], public_key);
    let message = bytes(&vectors["inputs"]["message"]);

    let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
    for entry in list(&vectors["round_one_outputs"], "outputs") {
        let member = member(entry);
        // The RFC's secret is the encoded share.
        let secret = shares[&member].to_bytes();
        let (made, public) = Nonces::generate(
            (&bytes32(&entry["hiding_nonce_randomness"]), secret.as_slice()),
            (&bytes32(&entry["binding_nonce_randomness"]), secret.as_slice()),
        );
        assert_eq!(made.hiding().to_bytes(), bytes32(&entry["hiding_nonce"]));
        assert_eq!(made.binding().to_bytes(), bytes32(&entry["binding_nonce"]));
        let halves = ["hiding_nonce_commitment", "binding_nonce_commitment"];
        let expected = halves.map(|half| bytes(&entry[half])).concat();
        assert_eq!(public.raw().0.as_slice(), expected);
        assert_eq!(made.commitment(), public.raw());
        assert_eq!(public.raw().decode().unwrap(), public);
        nonces.insert(member, made);
        commitments.insert(member, public);
    }

    let raw = commitments.iter().map(|(member, commitment)| (*member, commitment.raw()));
    let prefix = hash::binding_input_prefix(key.as_bytes(), &message, raw);
    let package = SigningPackage::new(&key, &commitments, &message).unwrap();
    for entry in list(&vectors["round_one_outputs"], "outputs") {
        let member = member(entry);
        let input = [prefix.as_slice(), hash::identifier(member).as_bytes()].concat();
        assert_eq!(input, bytes(&entry["binding_factor_input"]));
        let factor = package.signer(member).unwrap().binding_factor();
        assert_eq!(factor.to_bytes(), bytes32(&entry["binding_factor"]));
    }

    let mut made = BTreeMap::new();
    for entry in list(&vectors["round_two_outputs"], "outputs") {
        let member = member(entry);
        let share = sign(nonces.remove(&member).unwrap(), member, &shares[&member], &package);
        assert_eq!(share.as_ref().unwrap().0, bytes32(&entry["sig_share"]));
        made.insert(member, share.unwrap());
    }
    let verifying_shares =
        shares.iter().map(|(member, share)| (*member, share.verifying_share())).collect();
    let signature = package.aggregate(&made, &verifying_shares).unwrap();
    assert_eq!(signature.as_slice(), bytes(&vectors["final_output"]["sig"]));
    assert_eq!(package.group_commitment(), signature.first_chunk().unwrap());
    key.verify(&message, &signature).unwrap();
}

#[test]
fn reproduces_every_value_of_the_rfc() {
    reproduces_every_value(RFC, "group_public_key");
}

#[test]
fn reproduces_every_value_of_frost_ed25519() {
    reproduces_every_value(ZF, "verifying_key_key");
}
