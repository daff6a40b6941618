//! Says a thing once. Members redial several times a second; the log is for people.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::message::Hello;
use crate::types::MemberId;

/// A link that lived this long was a good one: its end is news even if the reason is an old one.
const GOOD: Duration = Duration::from_secs(10);

/// What was last logged about one member.
#[derive(Debug, Default)]
pub(super) struct Journal {
    reason: Option<String>,
    up_said: bool,
    up_since: Option<Instant>,
}

impl Journal {
    /// A link came up.
    pub(super) fn up(&mut self, peer: MemberId, hello: &Hello) {
        self.up_since = Some(Instant::now());
        if !self.up_said {
            self.up_said = true;
            info!(
                %peer, software = hello.software, serial = hello.serial,
                incarnation = %hello.incarnation, "cosigner connected"
            );
        }
    }

    /// A link ended, or did not come up. Whether it was logged.
    pub(super) fn failed(&mut self, peer: MemberId, reason: &str) -> bool {
        if self.up_since.take().is_some_and(|since| since.elapsed() >= GOOD) {
            self.reason = None;
        }
        if self.reason.as_deref() == Some(reason) {
            return false;
        }
        self.reason = Some(reason.to_owned());
        self.up_said = false;
        warn!(%peer, reason, "cosigner not connected");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_a_reason_once_until_it_changes() {
        let peer = MemberId::new(2).unwrap();
        let mut journal = Journal::default();
        assert!(journal.failed(peer, "refused"));
        assert!(!journal.failed(peer, "refused"));
        assert!(journal.failed(peer, "timed out"));
        assert!(journal.failed(peer, "refused"));
    }
}
