//! `cosigner`, a threshold remote signer for CometBFT validators.
//!
//! A signature travels through the rooms in this order: `validator` receives the request, `privval`
//! turns it into checked fields, `signing` coordinates it, `watermark` rules on it at every member,
//! `frost` makes the shares, `peer` carries them. `node` puts the rooms together.

pub mod backend;
pub mod cli;
pub mod config;
pub mod frost;
pub mod keystore;
pub mod node;
pub mod ops;
pub mod peer;
pub mod privval;
pub mod raft;
pub mod service;
pub mod signing;
pub mod store;
pub mod types;
pub mod validator;
pub mod watermark;

/// Helpers of `tests/support` name this crate as the tests there do.
#[cfg(test)]
extern crate self as cosigner;
