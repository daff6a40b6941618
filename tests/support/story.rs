//! What a real node's chain goes through while cosigners die, and how it must look afterwards.

use std::time::Duration;

use super::cluster::Cluster;
use super::comet::Comet;
use super::wait;

/// A step of the story may take this long on a busy machine; what it should take is measured
/// elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened to the connection between node and cluster.
#[derive(Default)]
pub struct Story {
    /// How often the member that held the connection was killed.
    pub holders_killed: usize,
}

/// Kills a member, sees the chain go on without it, and has it back.
pub fn kill_and_restart(cluster: &mut Cluster, node: &mut Comet, id: usize, story: &mut Story) {
    if cluster.holder() == Some(id) {
        story.holders_killed += 1;
    }
    cluster.kill(id);
    node.wait_blocks(10, PATIENCE);
    cluster.start(id);
    cluster.wait_ready(id);
    cluster.wait_leader();
    node.wait_blocks(5, PATIENCE);
}

/// The member that holds the connection; waits while it is being picked up by another one.
pub fn wait_holder(cluster: &Cluster) -> usize {
    wait::some(PATIENCE, || "a member that holds the connection".into(), || cluster.holder())
}

/// Every block was committed with our signature, in round 0 but for those that saw the connection die.
pub fn check_every_commit(node: &Comet, story: &Story) {
    let commits = node.commits(node.height() - 1);
    let unsigned: Vec<_> = commits.iter().filter(|commit| commit.flag != 2).collect();
    assert!(unsigned.is_empty(), "commits without our signature: {unsigned:?}");
    let late: Vec<_> = commits.iter().filter(|commit| commit.round != 0).collect();
    assert!(
        late.len() <= story.holders_killed,
        "{} commits after round 0, but the connection died only {} times: {late:?}",
        late.len(),
        story.holders_killed,
    );
    println!(
        "{}: {} blocks, {} after round 0, connection holder killed {} times",
        node.version(),
        commits.len(),
        late.len(),
        story.holders_killed,
    );
}
