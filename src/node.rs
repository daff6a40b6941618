//! The composition root: the only room that joins sockets, files, clocks and threads.
//!
//! A node is two runtimes, one thread for each watermark file and one for each whole key, a chain's or the
//! gRPC service's, and one for long sums. The *signing plane* is a thread of
//! its own: validators' connections, links to the other members, and the [`crate::signing::Plane`].
//! Raft, health, the gRPC service and signals live on another runtime and never stand before a signature. Nothing here
//! decides anything about signing.

mod arithmetic;
mod background;
mod chains;
mod key_threads;
mod later;
mod plane_thread;
mod raft_wires;
mod service;
mod signer;
mod signing_thread;
mod start;
mod status_source;
mod writers;

pub use start::{NodeError, run};
