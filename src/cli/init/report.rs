//! What the operator reads about new homes with a whole key.

use super::plan::{Members, Plan};
use crate::backend::{Pin, Pkcs11Source, Source, Token};
use crate::cli::new_homes::{
    Signers, Trial, heading, home_of, is_trial, laddr_step, listen_address, member_lines,
    next_steps, on_each_machine, peer_line, trial_steps, wrapped,
};
use crate::config::Home;
use crate::privval::noise::PeerId;
use crate::types::{Cluster, Threshold};

/// A node alone: key, home, and what to do now.
pub(super) fn alone(plan: &Plan, home: &Home, ours: &PeerId) -> String {
    let home = home.root().display();
    let steps = [
        compare(),
        stop(plan, &format!("cosigner.toml and state/ in {home}")),
        validators(plan, &format!("{home}/cosigner.toml")),
        format!(
            "Start it, as the user that owns {home}:\n  cosigner config check --home {home}\n  cosigner start --home {home}"
        ),
        laddr(plan, "this node only", ours),
    ];
    [
        head(plan, Signers::One),
        peer_line(&plan.validators, ours),
        format!("home        {home}: signs alone\n"),
        next_steps(&steps),
        "Never run this home twice, nor a copy of it, and never bring state/ back from a backup: what has\n\
         been signed since would be forgotten.\n\
         Who takes over this machine has the key, or the use of it. With shares (cosigner split-key) it\n\
         takes several machines.\n"
            .to_owned(),
    ]
    .concat()
}

/// A cluster: key, members, what they survive, and what to do now.
pub(super) fn cluster(plan: &Plan, members: &Members, cluster: &Cluster, ours: &PeerId) -> String {
    let Members { out, cosigners, grants } = members;
    let mut text = head(plan, Signers::All);
    text.push_str(&format!("grants      {}\n", tolerance(*grants)));
    text.push_str(&peer_line(&plan.validators, ours));
    text.push_str(&member_lines(cluster, out));
    if is_trial(&plan.record, cosigners) {
        if is_inside(&plan.written) {
            text.push_str(&format!("\n{}", wrapped("", &reach(&plan.written))));
        }
        text.push_str(&trial_steps(&Trial {
            out,
            cosigners,
            validators: &plan.validators,
            ours,
            prize: "the key, or the use of it",
            never: "Nothing else may ever sign with this key.",
        }));
    } else {
        let first = cosigners.first().map(|it| home_of(out, it.id)).unwrap_or_default();
        let (first, out) = (first.display(), out.display());
        text.push_str(&next_steps(&[
            compare(),
            stop(plan, &format!("{out}/cosigner-*")),
            validators(plan, "the cosigner.toml of each"),
            format!(
                "Copy each directory whole to its own machine, for example\n  \
                 scp -rp {first} HOST:/var/lib/cosigner\n\
                 Then delete {out}/cosigner-* here: no home may run twice."
            ),
            format!("{} (key in cosigner.toml; the same on all of them.)", reach(&plan.written)),
            on_each_machine("--home /var/lib/cosigner"),
            laddr(plan, "the cosigners only", ours),
        ]));
    }
    text.push_str(
        "Back up keys/ of each home. Never bring state/ back from a backup.\n\
         The key is whole, and within reach of every node: who takes over one of them has it, or the use\n\
         of it. With shares (cosigner split-key) it takes several.\n",
    );
    text
}

fn head(plan: &Plan, signers: Signers) -> String {
    let heading = heading(&plan.chain, &plan.public_key, &plan.prefix, &plan.record, signers);
    format!("{heading}backend     {}\n", describe(&plan.written))
}

fn describe(source: &Source) -> String {
    match source {
        Source::File(file) => format!("file, {}", file.path.display()),
        Source::Pkcs11(token) => format!("pkcs11, {} in {}", key_name(token), token_name(token)),
        Source::AwsKms(kms) => match &kms.region {
            Some(region) => format!("awskms, {} in {region}", kms.key_id),
            None => format!("awskms, {}", kms.key_id),
        },
    }
}

fn key_name(token: &Pkcs11Source) -> String {
    match (&token.key_label, &token.key_id) {
        (Some(label), _) => format!("key {label:?}"),
        (None, Some(id)) => format!("key {}", hex::encode(id)),
        (None, None) => "the key".to_owned(),
    }
}

fn token_name(token: &Pkcs11Source) -> String {
    match &token.token {
        Token::Label(label) => format!("token {label:?}"),
        Token::Slot(slot) => format!("slot {slot}"),
    }
}

/// I7 in the operator's words.
fn tolerance(grants: Threshold) -> String {
    let (t, n) = (grants.t(), grants.n());
    let down = match n - t {
        0 => "none may be down".to_owned(),
        down => format!("{down} may be down"),
    };
    format!("{t} of {n} cosigners agree before the key is used: {down}")
}

fn compare() -> String {
    "Compare the address with the one that the chain shows for this validator.".to_owned()
}

/// Two signers with one key are the double sign that everything here prevents.
fn stop(plan: &Plan, homes: &str) -> String {
    let again = match plan.record.mark() {
        Some(_) => "since the height or state file that you gave was taken",
        None => "anything for this chain by now",
    };
    let key_file = match &plan.written {
        Source::File(_) => " Take the key file away from the validator.",
        Source::Pkcs11(_) | Source::AwsKms(_) => "",
    };
    format!(
        "Stop whatever signs with this key now (the validator itself, tmkms, Horcrux, another cosigner), for \
         good: two signers do not know of each other. If it has signed {again}, delete {homes} and make them \
         again with the present state.{key_file}"
    )
}

fn validators(plan: &Plan, file: &str) -> String {
    if plan.validators.is_empty() {
        format!("Add a [[validator]] to {file}, see the comment there.")
    } else {
        String::new()
    }
}

fn laddr(plan: &Plan, who: &str, ours: &PeerId) -> String {
    laddr_step(&listen_address(&plan.validators, false, ours), who)
}

/// Whether each home has a key file of its own.
fn is_inside(source: &Source) -> bool {
    matches!(source, Source::File(file) if file.path.is_relative())
}

/// What every node of a cluster needs besides its home.
fn reach(source: &Source) -> String {
    match source {
        Source::File(file) if file.path.is_absolute() => format!(
            "Every node needs the key: copy the key file to {} on each machine, mode 0600.",
            file.path.display()
        ),
        Source::File(file) => format!(
            "Every node needs the key: copy the key file into each home, as {} there, mode 0600.",
            file.path.display()
        ),
        Source::Pkcs11(token) => format!(
            "Every node needs the key: on each machine the module {}, and with it \
             {} with {}: a token on the network, or its copy. The PIN is read {}.",
            token.module.display(),
            token_name(token),
            key_name(token),
            pin(&token.pin)
        ),
        Source::AwsKms(kms) => format!(
            "Every node needs the key: on each machine credentials that allow kms:GetPublicKey and kms:Sign \
             with {}.",
            kms.key_id
        ),
    }
}

fn pin(pin: &Pin) -> String {
    match pin {
        Pin::Inline(_) => "from cosigner.toml".to_owned(),
        Pin::Env(name) => format!("from the variable {name}"),
        Pin::File(path) => format!("from {}, mode 0600", path.display()),
    }
}
