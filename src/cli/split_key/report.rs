//! What the operator reads after a split.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cli::address::{describe, prefix};
use crate::types::Cluster;
use crate::validator::Address;

use super::plan::Plan;

/// Key, members, what the threshold means, and what to do now.
pub(super) fn report(plan: &Plan, cluster: &Cluster) -> String {
    let mut text = format!(
        "chain       {}\npublic key  {}\n",
        plan.chain,
        BASE64.encode(plan.public_key.as_bytes())
    );
    if let Ok(prefix) = prefix("cosmos") {
        text.push_str(&describe(&plan.public_key, prefix));
    }
    // Writing to a String does not fail.
    let _ = match plan.record.hrs() {
        Some(hrs) => writeln!(text, "watermark   {hrs}: nothing below is signed, by any cosigner"),
        None => {
            writeln!(text, "watermark   never signed: the first signature may be at any height")
        }
    };
    let _ = writeln!(text, "threshold   {}", tolerance(plan));
    for (member, cosigner) in cluster.members().values().zip(&plan.cosigners) {
        let _ = writeln!(
            text,
            "cosigner {:<2} {}  {}  {}",
            member.id,
            Plan::home(&plan.out, cosigner.id).display(),
            member.address,
            member.certificate
        );
    }
    text.push_str(&next_steps(plan));
    text
}

fn tolerance(plan: &Plan) -> String {
    let (t, n) = (plan.threshold.t(), plan.threshold.n());
    let down = n - t;
    // Two signing sets share at least 2t − n members; with f of them dishonest one is still honest.
    let dishonest = (2 * t).saturating_sub(n).saturating_sub(1);
    let down = match down {
        0 => "no cosigner may be down".to_owned(),
        down => format!("{down} may be down"),
    };
    let dishonest = match dishonest {
        0 => {
            "stops theft of a share, crashes and software errors, but no cosigner may be dishonest"
        }
        1 => "no double sign even if 1 is dishonest",
        _ => {
            return format!(
                "{}: {down}; no double sign even if {dishonest} are dishonest",
                plan.threshold
            );
        }
    };
    format!("{}: {down}; {dishonest}", plan.threshold)
}

/// What the validator is to be told, and what a person has to fill in.
fn listen_address(plan: &Plan) -> String {
    match plan.validators.first() {
        Some(Address::Unix(path)) => format!("unix://{}", path.display()),
        Some(Address::Tcp(at)) if plan.is_trial() => format!("tcp://127.0.0.1:{}", at.port()),
        Some(Address::Tcp(at)) => format!("tcp://0.0.0.0:{}", at.port()),
        None => "tcp://0.0.0.0:26659".to_owned(),
    }
}

/// All on this machine with a fresh key: nothing is copied, no validator runs with it.
fn trial_steps(plan: &Plan) -> String {
    let mut text = "\nAll cosigners are on this machine: for trials only, whoever breaks in here has every share.\nNext:\n".to_owned();
    if plan.validators.is_empty() {
        text.push_str(
            "- Add a [[validator]] to the cosigner.toml of each, see the comment there.\n",
        );
    }
    text.push_str("- Start each in a terminal of its own:\n");
    for cosigner in &plan.cosigners {
        let home = Plan::home(&plan.out, cosigner.id);
        // Writing to a String does not fail.
        let _ = writeln!(text, "    cosigner start --home {}", home.display());
    }
    let _ = writeln!(
        text,
        "- In the validator's config.toml set  priv_validator_laddr = \"{}\"  and start it.\n\
         - Look:  cosigner status --home {}\n\
         The key file must never be used to sign again, anywhere.",
        listen_address(plan),
        plan.cosigners.first().map(|it| Plan::home(&plan.out, it.id)).unwrap_or_default().display()
    );
    text
}

fn next_steps(plan: &Plan) -> String {
    if plan.is_trial() {
        return trial_steps(plan);
    }
    let first = plan.cosigners.first().map_or_else(String::new, |cosigner| {
        Plan::home(&plan.out, cosigner.id).display().to_string()
    });
    let (out, t) = (plan.out.display(), plan.threshold.t());
    let validators = if plan.validators.is_empty() {
        "\n   Then add a [[validator]] to the cosigner.toml of each, see the comment there."
    } else {
        ""
    };
    let signed = match plan.record.mark() {
        Some(_) => "If it has signed since its state file was\n   taken, delete",
        None => "If it has signed anything for this chain\n   by now, delete",
    };
    let listen = listen_address(plan);
    format!(
        "
Next:
1. Compare the address with the one that the chain shows for this validator.
2. Stop the validator, and keep it stopped until step 6. {signed} {out}/cosigner-* and split again with the present state file.
3. Copy each directory whole to its own machine, for example
     scp -rp {first} HOST:/var/lib/cosigner{validators}
   Then delete {out}/cosigner-* here: any {t} of them together are the key.
4. Keep one copy of the key file offline, as the seed backup, and remove it from the validator and
   from here. It must never be used to sign again, anywhere.
5. On each machine:  cosigner config check --home /var/lib/cosigner
   and then:         cosigner start --home /var/lib/cosigner
6. In the validator's config.toml set  priv_validator_laddr = \"{listen}\"  (reachable for
   the cosigners only), and start it.
Back up keys/ of each home, apart from the others. Never bring state/ back from a backup.
"
    )
}
