//! The double-sign rule, and the file that remembers it.
//!
//! [`decide`] rules: a pure function of what is recorded, what is asked and the time. The
//! [`WatermarkFile`] records: what it holds is on disk before anything is released for it, and the
//! [`Watermarked`] receipt, which nothing else can make, says so (I3). Signatures are not kept here.

mod denial;
mod disk;
mod export;
mod fault;
mod file;
#[cfg(test)]
mod file_tests;
mod import;
mod look;
mod make;
mod rule;
#[cfg(test)]
mod rule_tests;
mod slot;
#[cfg(test)]
mod slot_tests;

pub use denial::Denial;
pub use disk::{FileDisk, SlotDisk};
pub use export::to_cometbft_state;
pub use fault::{Fault, FileError};
pub use file::{WatermarkFile, Watermarked};
pub use import::{Dialect, ImportError, Verify, highest, read_state};
pub use look::{list, peek};
pub use rule::{Decision, JumpLimit, MAX_CREDIT, Mark, Record, decide};
pub use slot::{SLOT_BYTES, Stored};
