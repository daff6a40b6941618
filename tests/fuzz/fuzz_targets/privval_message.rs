//! A validator's message: what is let in has sign bytes that read back as the same fields, and every
//! reply fits into what CometBFT reads.
#![no_main]

use cosigner::privval::{
    Echo, Reply, ReplyKind, Request, extension_sign_bytes, parse, parse_sign_bytes, sign_bytes,
};
use cosigner::types::{Algorithm, ChainId, PublicKey, Signature};
use libfuzzer_sys::fuzz_target;

/// Longest reply that CometBFT up to v0.39, v1 and v2 read, in bytes.
const MOST: usize = 10_240;

fn check(reply: &Reply) {
    assert!(reply.encode().len() <= MOST, "{reply:?}");
}

fn signed(echo: Echo, request: &cosigner::privval::SignRequest) {
    // The longest that there are.
    let signature = || Signature::new(Algorithm::MlDsa65, [7; 3309]);
    let extension = request.extension.as_ref().map(|_| signature());
    let timestamp = request.fields.timestamp();
    check(&echo.signed(signature(), timestamp, extension).unwrap());
}

fuzz_target!(|body: &[u8]| {
    match parse(body) {
        Ok(Request::Sign { chain, request, echo }) => {
            let chain = ChainId::new(chain).unwrap();
            let bytes = sign_bytes(&chain, &request.fields);
            let (read, fields) = parse_sign_bytes(&bytes).unwrap();
            assert_eq!((&read, &fields), (&chain, &request.fields));
            assert_eq!(request.extension.is_some() && !fields.may_carry_extension(), false);
            let hrs = fields.hrs();
            if let Some(extension) = &request.extension {
                let extension = extension_sign_bytes(&chain, hrs.height, hrs.round, extension);
                assert!(parse_sign_bytes(&extension).is_err(), "an extension that is a vote");
            }
            check(&Reply::wrong_chain(echo.kind()));
            check(&Reply::error(echo.kind(), String::from_utf8_lossy(body)));
            signed(*echo, &request);
        }
        Ok(Request::PublicKey { chain }) => {
            ChainId::new(chain).unwrap();
            check(&Reply::PublicKey(PublicKey::ed25519([7; 32])));
        }
        Ok(_) => check(&Reply::error(ReplyKind::Bytes, String::from_utf8_lossy(body))),
        Err(why) => {
            if let Some(reply) = why.reply() {
                check(&reply);
            }
        }
    }
});
