//! One log line for each answered request.

use std::time::Instant;

use tracing::{info, warn};

use crate::signing::{RawReply, RawVerdict, Reply, Verdict};

/// Writes the line of one request: `signed`, `repeated`, `denied` or `failed`, where, and how long
/// each phase took. Never a key, a share, a nonce or an extension.
pub fn write_line(reply: &Reply, answered: Instant) {
    let Reply { verdict, account, coordinator, .. } = reply;
    let total_ms = ms(account.received, answered);
    // Phases and signers are known where the request was coordinated; elsewhere the fields are left out.
    let order_ms = account.ordered.map(|at| ms(account.received, at));
    let shares_ms = account.ordered.zip(account.settled).map(|(from, to)| ms(from, to));
    let signers: Vec<String> = account.signers.iter().map(ToString::to_string).collect();
    let signers = (!signers.is_empty()).then(|| signers.join(","));
    let (signers, sets) = (signers.as_deref(), (account.sets > 0).then_some(account.sets));
    let (chain, kind, hrs, block) =
        (&account.chain, account.kind, account.hrs, account.block.as_str());
    match verdict {
        Verdict::Signed(_) | Verdict::Repeated(_) => info!(
            %chain, %kind, %hrs, block, total_ms, order_ms, shares_ms, signers, sets,
            %coordinator, "{}", verdict.word()
        ),
        Verdict::Denied(denial) => warn!(
            %chain, %kind, %hrs, block, total_ms, reason = denial.reason(), %denial, %coordinator,
            "denied"
        ),
        Verdict::NotNow(why) => warn!(
            %chain, %kind, %hrs, block, total_ms, why, %coordinator, "failed; the validator asks again"
        ),
        Verdict::GivenUp(why) => warn!(
            %chain, %kind, %hrs, block, total_ms, why, %coordinator,
            "failed; the validator goes on without"
        ),
    }
}

/// Writes the line of one signature over raw bytes: how many, the beginning of their SHA-256, who took
/// part. Never the bytes. What was not signed is logged once, by the validator's connection.
pub fn write_raw_line(reply: &RawReply, answered: Instant) {
    let RawReply { verdict, account, .. } = reply;
    let (RawVerdict::Signed(_), Some(digest)) = (verdict, account.digest) else { return };
    let total_ms = ms(account.received, answered);
    let signers: Vec<String> = account.signers.iter().map(ToString::to_string).collect();
    let (signers, sha256) = (signers.join(","), hex::encode(digest.split_at(4).0));
    let sets = (account.sets > 0).then_some(account.sets);
    info!(
        chain = %account.chain, kind = "raw", length = account.length, sha256, total_ms, signers, sets,
        "{}", verdict.word()
    );
}

fn ms(from: Instant, to: Instant) -> f64 {
    let micros = to.saturating_duration_since(from).as_micros();
    f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0
}
