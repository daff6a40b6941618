//! `give_up_after`: how long a chain's requests may fail before the validator is told so.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Longest that can be asked for; who wants more wants "never".
const LONGEST: Duration = Duration::from_secs(3600);

/// How long requests may fail before the answer is an error at once (DESIGN §4, deadlines).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// After this long without one success.
    After(Duration),
    /// Never: the only validator of a chain, where one refused vote stops the chain.
    Never,
}

/// Why a `give_up_after` was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number with a unit.
    #[error("{0:?} is no time: write it like \"3s\", \"1500ms\", \"1m\", or \"never\"")]
    Form(String),
    /// Nothing, or too much.
    #[error("{0:?} is not within 1ms to 1h: for no limit write \"never\"")]
    Range(String),
}

impl Default for GiveUp {
    /// 3 s: what a CometBFT node waits for a signer before it exits.
    fn default() -> Self {
        Self::After(Duration::from_secs(3))
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::After(after) if after.subsec_millis() == 0 => write!(f, "{}s", after.as_secs()),
            Self::After(after) => write!(f, "{}ms", after.as_millis()),
        }
    }
}

impl FromStr for GiveUp {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let form = || DurationError::Form(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(form)?;
        let number: u64 = number.parse().map_err(|_| form())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            _ => return Err(form()),
        };
        let after = Duration::from_millis(number.saturating_mul(millis));
        if after.is_zero() || after > LONGEST {
            return Err(DurationError::Range(text.to_owned()));
        }
        Ok(Self::After(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_with_units_and_never() {
        assert_eq!("3s".parse(), Ok(GiveUp::default()));
        assert_eq!("1500ms".parse(), Ok(GiveUp::After(Duration::from_millis(1500))));
        assert_eq!("2m".parse(), Ok(GiveUp::After(Duration::from_secs(120))));
        assert_eq!("never".parse(), Ok(GiveUp::Never));
        for text in ["3s", "1500ms", "3600s", "never"] {
            assert_eq!(text.parse::<GiveUp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_time_or_no_sensible_one() {
        for text in ["", "3", "s", "-3s", "3 s", "3h", "three", "é"] {
            let refused: Result<GiveUp, _> = text.parse();
            assert_eq!(refused, Err(DurationError::Form(text.to_owned())));
        }
        for text in ["0s", "61m", "18446744073709551615m"] {
            let refused: Result<GiveUp, _> = text.parse();
            assert_eq!(refused, Err(DurationError::Range(text.to_owned())));
        }
    }
}
