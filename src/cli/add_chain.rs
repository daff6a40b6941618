//! One more chain in homes that are there: for `split-key --join`, `init --join` and `share import`.
//!
//! Everything is checked before a byte is written. Then, in this order: watermark, share, `cluster.toml`,
//! `cosigner.toml`. With each step a home starts as before until the last one is done, and the same
//! command, run again, goes on where it ended.

mod error;
mod home;
mod lists;
mod replace;

pub(super) use error::AddError;
pub(super) use home::{Addition, Change, Floor, TakenHome};
pub(super) use lists::{Joined, check_new_key, extended, joined};

use std::fmt::Write as _;

/// Plans the chain's addition to every home, and when each plan has passed makes every change.
pub(super) fn add_to_all<'a>(
    homes: Vec<TakenHome>,
    mut addition: impl FnMut(&TakenHome) -> Addition<'a>,
) -> Result<Vec<(TakenHome, Change)>, AddError> {
    let mut changes = Vec::with_capacity(homes.len());
    for home in homes {
        let change = home.plan(addition(&home))?;
        changes.push((home, change));
    }
    write_all(&changes)?;
    Ok(changes)
}

/// A line for each home.
pub(super) fn home_lines(homes: &[(TakenHome, Change)]) -> String {
    let mut text = String::new();
    for (home, change) in homes {
        let had = if change.is_nothing() { "  (had all of it)" } else { "" };
        // Writing to a String does not fail.
        let _ = writeln!(text, "cosigner {:<2} {}{had}", home.me, home.root().display());
    }
    text
}

/// Carries out one step in all homes, and says in how many it was done if one fails.
fn in_all(
    homes: &[(TakenHome, Change)],
    step: impl Fn(&TakenHome, &Change) -> Result<(), AddError>,
) -> Result<(), AddError> {
    for (done, (home, change)) in homes.iter().enumerate() {
        step(home, change).map_err(|source| AddError::Unfinished {
            home: home.root().to_owned(),
            done,
            all: homes.len(),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// Makes every change, step by step in all homes: no home names the chain before all have their shares.
pub(super) fn write_all(homes: &[(TakenHome, Change)]) -> Result<(), AddError> {
    in_all(homes, TakenHome::secure)?;
    in_all(homes, TakenHome::write_list)?;
    in_all(homes, TakenHome::write_settings)
}
