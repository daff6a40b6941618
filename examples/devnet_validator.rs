//! A validator for devnets without CometBFT: asks a signer for every signature of every block, as a
//! chain's only validator does, and verifies each.
//!
//! `cargo run --example devnet_validator -- --listen tcp://127.0.0.1:26659 --chain-id devnet-1 --blocks 20`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use cosigner::types::PublicKey;

// Shared with the tests, where a panic is a finding.
#[path = "../tests/support/key.rs"]
mod key;
#[path = "../tests/support/node.rs"]
mod node;

use node::Node;
use node::drive::{Plan, Summary, drive};

/// Plays the CometBFT node: listens for signers, asks for blocks, verifies, prints a line per height
/// and a summary. Exits with 0 after the last block, with 1 on a wrong signature or a stall.
#[derive(Debug, Parser)]
struct Arguments {
    /// tcp://host:port or unix://path, like CometBFT's `priv_validator_laddr`.
    #[arg(long, default_value = "tcp://127.0.0.1:26659")]
    listen: String,
    /// The chain that requests name.
    #[arg(long, required_unless_present = "write_key")]
    chain_id: Option<String>,
    /// Only write a fresh, throwaway `priv_validator_key.json` here.
    #[arg(long, value_name = "FILE")]
    write_key: Option<PathBuf>,
    /// Stop after so many heights; without it, run until a signal.
    #[arg(long)]
    blocks: Option<u64>,
    /// The first height.
    #[arg(long, default_value_t = 1)]
    height: i64,
    /// Pause between heights, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
    /// Have each precommit carry a vote extension of so many bytes, perhaps 0. Without it, extensions
    /// are off.
    #[arg(long)]
    extension_bytes: Option<usize>,
    /// The Ed25519 key that the signer must have, in base64. Without it, the first one it shows.
    #[arg(long, value_parser = public_key)]
    public_key: Option<PublicKey>,
    /// Give up after so many seconds without a block.
    #[arg(long, default_value_t = 60)]
    patience_s: u64,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    PublicKey::new(cosigner::types::Algorithm::Ed25519, bytes).map_err(|error| error.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.write_key {
        key::write_throwaway(path);
        return ExitCode::SUCCESS;
    }
    let chain = arguments.chain_id.unwrap_or_default();
    let mut node = match Node::listen(&arguments.listen, &chain).await {
        Ok(node) => node,
        Err(error) => {
            eprintln!("cannot listen on {}: {error}", arguments.listen);
            return ExitCode::from(2);
        }
    };
    println!("listening on {} for chain {}", node.address(), node.chain());
    let plan = Plan {
        height: arguments.height,
        blocks: arguments.blocks,
        interval: Duration::from_millis(arguments.interval_ms),
        extension_bytes: arguments.extension_bytes,
        public_key: arguments.public_key,
        patience: Duration::from_secs(arguments.patience_s),
    };
    let mut summary = Summary::default();
    let ended = tokio::select! {
        ended = drive(&mut node, &plan, &mut summary, |block| println!("{block}")) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    println!("{summary}");
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            eprintln!("{stopped}");
            ExitCode::FAILURE
        }
    }
}
