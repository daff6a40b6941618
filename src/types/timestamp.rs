//! Timestamps as they stand in votes, and the wall clock of the height-jump rule.

/// `google.protobuf.Timestamp` as CometBFT writes it: signed at nanosecond precision as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: i32,
}

/// Milliseconds since the Unix epoch by this machine's wall clock. For liveness rules only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// Why a timestamp was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// gogoproto refuses nanoseconds outside one second.
    #[error("nanoseconds {0} are not within 0 to 999999999")]
    Nanos(i32),
    /// gogoproto refuses what Go's `time.Time` cannot hold: years 1 to 9999.
    #[error("seconds {0} are not within the years 1 to 9999")]
    Seconds(i64),
}

impl Timestamp {
    /// Go's zero time, year 1: what a request without a timestamp means.
    pub const GO_ZERO: Self = Self { seconds: -62_135_596_800, nanos: 0 };
    /// The first second after year 9999.
    const END_SECONDS: i64 = 253_402_300_800;

    /// Checks and takes a timestamp.
    ///
    /// # Errors
    /// [`TimestampError`] outside the years 1 to 9999, or with nanoseconds outside one second.
    pub const fn new(seconds: i64, nanos: i32) -> Result<Self, TimestampError> {
        if nanos < 0 || nanos > 999_999_999 {
            return Err(TimestampError::Nanos(nanos));
        }
        if seconds < Self::GO_ZERO.seconds || seconds >= Self::END_SECONDS {
            return Err(TimestampError::Seconds(seconds));
        }
        Ok(Self { seconds, nanos })
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    #[must_use]
    pub const fn nanos(self) -> i32 {
        self.nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_years_that_go_can_write_and_no_others() {
        assert!(Timestamp::new(-62_135_596_800, 0).is_ok());
        assert_eq!(
            Timestamp::new(-62_135_596_801, 0),
            Err(TimestampError::Seconds(-62_135_596_801))
        );
        assert!(Timestamp::new(253_402_300_799, 999_999_999).is_ok());
        assert!(Timestamp::new(253_402_300_800, 0).is_err());
        assert!(Timestamp::new(i64::MAX, 0).is_err());
        assert_eq!(Timestamp::new(0, -1), Err(TimestampError::Nanos(-1)));
        assert_eq!(Timestamp::new(0, 1_000_000_000), Err(TimestampError::Nanos(1_000_000_000)));
    }
}
