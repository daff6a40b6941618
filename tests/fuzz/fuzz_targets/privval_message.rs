//! A validator's message, in every dialect: what is let in has sign bytes that read back as the same
//! fields, an extension without replay protection is one that may be signed, and every reply fits into
//! what CometBFT reads.
#![no_main]

use cosigner::privval::{
    Dialect, Echo, ExtensionSignature, RawAllowed, RawBytes, Reply, ReplyKind, Request,
    SignRequest, Version, parse_for, parse_sign_bytes, sign_bytes,
};
use cosigner::types::{Algorithm, ChainId, PublicKey, Signature};
use libfuzzer_sys::fuzz_target;

/// Longest reply that CometBFT up to v0.39, v1 and v2 read, in bytes.
const MOST: usize = 10_240;

/// As much as messages of validators may differ.
const DIALECTS: [Dialect; 3] = [
    Dialect { version: Version::V1, non_rp_extensions: false, raw_bytes: RawBytes::Off },
    Dialect { version: Version::V2, non_rp_extensions: true, raw_bytes: RawBytes::SignBytes },
    Dialect { version: Version::V1, non_rp_extensions: false, raw_bytes: RawBytes::Celestia },
];

fn check(reply: &Reply) {
    assert!(reply.encode().len() <= MOST, "{reply:?}");
}

/// The extension is signed where there may be one, and its two halves are neither each other's nor a vote.
fn extension(chain: &ChainId, request: &SignRequest, dialect: &Dialect) {
    let Some(extension) = &request.extension else { return };
    assert!(request.fields.may_carry_extension());
    let bytes = extension.sign_bytes(chain, request.fields.hrs());
    assert!(parse_sign_bytes(&bytes).is_err(), "an extension that is a vote");
    assert_eq!(extension.non_rp().is_some(), dialect.non_rp_extensions);
    if let Some(non_rp) = extension.non_rp() {
        let allowed = RawAllowed::non_rp_extension(dialect, non_rp).unwrap();
        assert!(parse_sign_bytes(allowed.as_bytes()).is_err(), "an extension that is a vote");
        assert_ne!(allowed.as_bytes(), bytes, "an extension that is another's");
    }
}

fn signed(echo: Echo, request: &SignRequest) {
    // The longest that there are.
    let signature = || Signature::new(Algorithm::MlDsa65, [7; 3309]);
    let both = request.extension.as_ref().map(|extension| ExtensionSignature {
        replay_protected: signature(),
        non_rp: extension.non_rp().map(|_| signature()),
    });
    check(&echo.signed(signature(), request.fields.timestamp(), both).unwrap());
}

fn one(body: &[u8], dialect: &Dialect) {
    match parse_for(body, dialect) {
        Ok(Request::Sign { chain, request, echo }) => {
            let chain = ChainId::new(chain).unwrap();
            let bytes = sign_bytes(&chain, &request.fields);
            let (read, fields) = parse_sign_bytes(&bytes).unwrap();
            assert_eq!((&read, &fields), (&chain, &request.fields));
            extension(&chain, &request, dialect);
            check(&Reply::error(echo.kind(), String::from_utf8_lossy(body)));
            check(&Reply::wrong_chain(echo.kind()));
            signed(*echo, &request);
        }
        Ok(Request::PublicKey { chain }) => {
            ChainId::new(chain).unwrap();
            for algorithm in Algorithm::ALL {
                let bytes = vec![3; algorithm.public_key_bytes()];
                let Ok(key) = PublicKey::new(algorithm, bytes) else { continue };
                check(&Reply::PublicKey { key, version: dialect.version });
            }
        }
        Ok(Request::Raw { chain, message }) => {
            let chain = chain.map(|chain| ChainId::new(chain).unwrap());
            let chain = chain.unwrap_or_else(|| ChainId::new("test-chain-1").unwrap());
            if let Ok(allowed) = RawAllowed::new(&chain, dialect, &message) {
                assert!(parse_sign_bytes(allowed.as_bytes()).is_err(), "raw bytes that are a vote");
            }
            check(&Reply::SignedBytes(Signature::new(Algorithm::MlDsa65, [7; 3309])));
        }
        Ok(Request::Ping) => check(&Reply::Ping),
        Ok(Request::Unknown) => check(&Reply::error(ReplyKind::Bytes, "unknown")),
        Err(why) => {
            if let Some(reply) = why.reply() {
                check(&reply);
            }
        }
    }
}

fuzz_target!(|body: &[u8]| {
    for dialect in &DIALECTS {
        one(body, dialect);
    }
});
