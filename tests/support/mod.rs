//! What the cluster tests, the real-node tests and the benchmark share: real processes on loopback.
//!
//! Nothing here knows how a cosigner works inside: it uses the binary, its files and its HTTP pages.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![allow(unreachable_pub, reason = "every test binary is a crate of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod asker;
pub mod cluster;
pub mod comet;
pub mod gave;
pub mod granted;
pub mod http;
pub mod key;
pub mod kms;
pub mod kms_fault;
pub mod ministack;
pub mod node;
pub mod ports;
pub mod process;
pub mod rng;
pub mod shape;
pub mod softhsm;
pub mod story;
pub mod wait;
