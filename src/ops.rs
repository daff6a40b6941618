//! What operators see: health, status, metrics, log lines.
//!
//! Nothing here decides anything about signing; the composition root hands in what it knows.

mod durations;
mod line;
mod log;
mod metrics;
mod ready;
mod server;
mod status;
mod tally;

pub use durations::{Durations, SharedDurations};
pub use line::{write_line, write_raw_line};
pub use log::{LogStyle, init_log};
pub use metrics::{Description, Sample, descriptions};
pub use ready::{Condition, NotReady, not_ready};
pub use server::{Source, serve};
pub use status::{
    ChainStatus, Counts, KeyFaultStatus, LastDenied, LastSignState, LastSigned, MemberStatus,
    RawCounts, ServiceCounts, ServiceKeyStatus, ServiceStatus, Status, ValidatorStatus,
    WatermarkStatus,
};
pub use tally::{Answered, Tally};
