//! What the operator reads after a split.

use crate::cli::new_homes::{
    Signers, Trial, heading, home_of, is_trial, laddr_step, listen_address, member_lines,
    next_steps, on_each_machine, peer_line, trial_steps,
};
use crate::privval::noise::PeerId;
use crate::types::{Cluster, Threshold};

use super::plan::Plan;

/// Key, members, what the threshold means, and what to do now.
pub(super) fn report(plan: &Plan, cluster: &Cluster, ours: &PeerId) -> String {
    let steps = if is_trial(&plan.record, &plan.cosigners) {
        trial_steps(&Trial {
            out: &plan.out,
            cosigners: &plan.cosigners,
            validators: &plan.validators,
            ours,
            prize: "every share",
            never: "The key file must never be used to sign again, anywhere.",
        })
    } else {
        steps(plan, ours)
    };
    [
        heading(&plan.chain, &plan.public_key, &plan.prefix, &plan.record, Signers::All),
        format!("threshold   {}\n", tolerance(plan.threshold)),
        peer_line(&plan.validators, ours),
        member_lines(cluster, &plan.out),
        steps,
    ]
    .concat()
}

pub(super) fn tolerance(threshold: Threshold) -> String {
    let (t, n) = (threshold.t(), threshold.n());
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
                "{threshold}: {down}; no double sign even if {dishonest} are dishonest"
            );
        }
    };
    format!("{threshold}: {down}; {dishonest}")
}

fn steps(plan: &Plan, ours: &PeerId) -> String {
    let first = plan
        .cosigners
        .first()
        .map_or_else(String::new, |cosigner| home_of(&plan.out, cosigner.id).display().to_string());
    let (out, t) = (plan.out.display(), plan.threshold.t());
    let validators = if plan.validators.is_empty() {
        "Then add a [[validator]] to the cosigner.toml of each, see the comment there.\n"
    } else {
        ""
    };
    let signed = match plan.record.mark() {
        Some(_) => "since its state file was taken",
        None => "anything for this chain by now",
    };
    let listen = listen_address(&plan.validators, false, ours);
    let steps = next_steps(&[
        "Compare the address with the one that the chain shows for this validator.".to_owned(),
        format!(
            "Stop the validator, and keep it stopped until step 6. If it has signed {signed}, delete \
             {out}/cosigner-* and split again with the present state file."
        ),
        format!(
            "Copy each directory whole to its own machine, for example\n  \
             scp -rp {first} HOST:/var/lib/cosigner\n{validators}\
             Then delete {out}/cosigner-* here: any {t} of them together are the key."
        ),
        "Keep one copy of the key file offline, as the seed backup, and remove it from the validator and \
         from here. It must never be used to sign again, anywhere."
            .to_owned(),
        on_each_machine("--home /var/lib/cosigner"),
        laddr_step(&listen, "the cosigners only"),
    ]);
    format!(
        "{steps}Back up keys/ of each home, apart from the others. Never bring state/ back from a backup.\n\
         Another chain for the same cosigners: cosigner split-key --members, see its --help.\n"
    )
}
