//! The flags that win over `cosigner.toml`.

use clap::Args;

use crate::config::{LogFormat, LogLevel, OpsListen, Overrides};
use crate::validator::Address as ValidatorAddress;

/// Flags of `start` and `config check`.
#[derive(Debug, Args)]
pub(super) struct OverrideArgs {
    /// A validator to dial, tcp://host:port, unix://path or noise://PEERID@ip:port; may be repeated,
    /// replaces the list of cosigner.toml
    #[arg(
        long = "validator",
        env = "COSIGNER_VALIDATOR",
        value_name = "ADDR",
        value_delimiter = ','
    )]
    validators: Vec<ValidatorAddress>,
    /// Where /livez, /readyz, /healthz, /status and /metrics are served, ip:port; "" switches it off
    #[arg(long, env = "COSIGNER_OPS_LISTEN", value_name = "ADDR")]
    ops_listen: Option<OpsListen>,
    /// error, warn, info, debug or trace, or per module: info,cosigner::raft=debug
    #[arg(long, env = "COSIGNER_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// text or json
    #[arg(long, env = "COSIGNER_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl OverrideArgs {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            validators: self.validators.clone(),
            ops_listen: self.ops_listen,
            log_level: self.log_level.clone(),
            log_format: self.log_format,
        }
    }
}
