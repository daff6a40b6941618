//! The oracle of the double-sign tests: what every member gave, from its own log.
//!
//! A member logs a line in target `cosigner::gave` before a share or grant leaves the process, so what
//! these lines do not show was not given.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The filter that makes members log what they give.
pub const LOG_LEVEL: &str = "info,cosigner::gave=debug";

/// One share or grant that a member gave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gave {
    /// From 1.
    pub member: usize,
    /// Chain id.
    pub chain: String,
    /// `height/round/step`.
    pub hrs: String,
    /// Hash of the fields without the timestamp, in hex.
    pub content: String,
    /// The attempt, in hex.
    pub session: String,
    /// The set within the attempt.
    pub set: u64,
    /// `proposal`, `prevote` or `precommit`.
    pub kind: String,
}

/// Every line of every member; `logs` are in the order of the members.
pub fn collect(logs: &[String]) -> Vec<Gave> {
    let of_member = |(index, log): (usize, &String)| -> Vec<Gave> {
        log.lines().filter_map(|line| parse(index + 1, line)).collect()
    };
    logs.iter().enumerate().flat_map(of_member).collect()
}

/// A line of another target is nothing to us; one of ours that cannot be read is a failure.
fn parse(member: usize, line: &str) -> Option<Gave> {
    if !line.contains("cosigner::gave") {
        return None;
    }
    // A process that was killed while it wrote leaves half a line before the first of the next one.
    let whole = line.rfind("{\"timestamp\"").and_then(|start| line.get(start..)).unwrap_or(line);
    let value: Value = serde_json::from_str(whole).unwrap_or_else(|error| {
        panic!("member {member} logged a line that is not JSON: {error}: {line}")
    });
    let field = |name: &str| value["fields"].get(name).or_else(|| value.get(name));
    let text = |name: &str| -> String {
        let found = field(name).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text {name} in {line}")).to_owned()
    };
    if field("kind").and_then(Value::as_str) == Some("raw") {
        // No vote: it has no height, round and step, and nothing to be in conflict with.
        return None;
    }
    let number = field("set").and_then(|set| set.as_u64().or_else(|| set.as_str()?.parse().ok()));
    Some(Gave {
        member,
        chain: text("chain"),
        hrs: text("hrs"),
        content: text("content"),
        session: text("session"),
        set: number.unwrap_or_else(|| panic!("no number set in {line}")),
        kind: text("kind"),
    })
}

/// I1: no member gave for two contents at one height, round and step.
pub fn assert_one_content_per_member(given: &[Gave]) {
    let mut contents: BTreeMap<(usize, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for gave in given {
        let place = (gave.member, gave.chain.as_str(), gave.hrs.as_str());
        contents.entry(place).or_default().insert(&gave.content);
    }
    let broken: Vec<_> = contents.iter().filter(|(_, contents)| contents.len() > 1).collect();
    assert!(broken.is_empty(), "(member, chain, h/r/s) with two contents: {broken:#?}");
}

/// No two contents have a complete set of `threshold` members each at one height, round and step,
/// whatever the members' own rules say.
pub fn assert_one_complete_content(given: &[Gave], threshold: usize) {
    let mut givers: BTreeMap<(&str, &str), BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
    for gave in given {
        let contents = givers.entry((&gave.chain, &gave.hrs)).or_default();
        contents.entry(&gave.content).or_default().insert(gave.member);
    }
    for (place, contents) in givers {
        let complete = contents.values().filter(|members| members.len() >= threshold).count();
        assert!(complete <= 1, "{complete} contents were completed at {place:?}: {contents:#?}");
    }
}

/// How many members gave at this height, round and step.
pub fn givers_at(given: &[Gave], hrs: &str) -> usize {
    given
        .iter()
        .filter(|gave| gave.hrs == hrs)
        .map(|gave| gave.member)
        .collect::<BTreeSet<_>>()
        .len()
}
