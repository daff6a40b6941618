//! Loopback ports that stay free while a member is dead.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections (32768 and up), so that nobody takes the
/// port of a member between its death and its restart.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on now, and that this process has not given out before.
pub fn free() -> u16 {
    // Test binaries that run side by side begin at different places.
    let base = u16::try_from(process::id() % 400).unwrap() * 50;
    for _ in 0..COUNT {
        let offset = base.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + offset;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port among {COUNT} from {FIRST}");
}
