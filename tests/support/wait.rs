//! Waiting for something that another process does: a deadline, never a fixed sleep.

use std::thread;
use std::time::{Duration, Instant};

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(5);

/// Looks until `look` finds something; panics with `what` when `limit` has passed.
pub fn some<T>(
    limit: Duration,
    what: impl FnOnce() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {}", what());
        thread::sleep(INTERVAL);
    }
}

/// Looks until `holds` is true; panics with `what` when `limit` has passed.
pub fn until(limit: Duration, what: impl FnOnce() -> String, mut holds: impl FnMut() -> bool) {
    some(limit, what, || holds().then_some(()));
}
