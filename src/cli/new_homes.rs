//! Fresh homes, for `split-key` and `init`: the flags that both take, what both check, and the
//! writing. All homes are written, or none; what is there is never replaced.

mod error;
mod flags;
mod members;
mod out;
mod report;
mod steps;
mod write;

pub use error::NewHomesError;
pub(super) use flags::{FloorArgs, check_validators};
pub(super) use members::{Cosigner, check_absent, check_out, cosigners, home_of, is_trial};
pub(super) use out::{Out, write_file};
pub(super) use report::{
    Signers, Trial, heading, listen_address, member_lines, peer_line, trial_steps,
};
pub(super) use steps::{laddr_step, next_steps, on_each_machine, wrapped};
pub(super) use write::{LoneIdentity, NewCluster, check_alone, new_noise_identity, write_alone};
