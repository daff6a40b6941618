//! How many log lines one source may cause.

use std::time::{Duration, Instant};

/// Lets a few lines through in each window of time and counts the others. One for each source, so that
/// a loud one takes nothing from the rest; time comes from the caller.
#[derive(Clone, Debug)]
pub struct LineLimit {
    most: u32,
    window: Duration,
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It is to be written.
    Write,
    /// It was counted.
    LeaveOut,
}

impl LineLimit {
    /// At most `most` lines in each `window`.
    #[must_use]
    pub const fn new(most: u32, window: Duration) -> Self {
        Self { most, window, began: None, written: 0, left_out: 0 }
    }

    /// One line more.
    pub fn line(&mut self, now: Instant) -> Line {
        if self.is_over(now) {
            self.began = Some(now);
            self.written = 0;
        }
        if self.written < self.most {
            self.written += 1;
            Line::Write
        } else {
            self.leave_out(now);
            Line::LeaveOut
        }
    }

    /// One line that is not worth writing, whatever the limit.
    pub fn leave_out(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.left_out = self.left_out.saturating_add(1);
    }

    /// How many lines were left out, once the window in which they were is over; each is told once.
    pub fn told(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || !self.is_over(now) {
            return None;
        }
        self.began = None;
        Some(std::mem::take(&mut self.left_out))
    }

    fn is_over(&self, now: Instant) -> bool {
        self.began.is_none_or(|began| now.saturating_duration_since(began) >= self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lets_a_few_lines_through_in_each_window_and_counts_the_rest() {
        let mut limit = LineLimit::new(2, WINDOW);
        let begin = Instant::now();
        let mut written = 0;
        for n in 0..600_u32 {
            // Ten lines a second for a minute.
            let now = begin + SECOND / 10 * n;
            written += u32::from(limit.line(now) == Line::Write);
            assert_eq!(limit.told(now), None, "the window is not over");
        }
        assert_eq!(written, 2);
        assert_eq!(limit.told(begin + WINDOW), Some(598));
        assert_eq!(limit.told(begin + WINDOW), None, "told once");
        assert_eq!(limit.line(begin + WINDOW), Line::Write);
    }

    #[test]
    fn what_was_left_out_is_told_even_if_a_new_window_has_begun() {
        let mut limit = LineLimit::new(1, WINDOW);
        let begin = Instant::now();
        assert_eq!(limit.line(begin), Line::Write);
        assert_eq!(limit.line(begin), Line::LeaveOut);
        assert_eq!(limit.line(begin + WINDOW), Line::Write);
        assert_eq!(limit.told(begin + WINDOW + SECOND), None);
        assert_eq!(limit.told(begin + WINDOW + WINDOW), Some(1));
    }

    #[test]
    fn a_quiet_source_says_nothing_about_itself() {
        let mut limit = LineLimit::new(1, WINDOW);
        let begin = Instant::now();
        assert_eq!(limit.line(begin), Line::Write);
        assert_eq!(limit.told(begin + WINDOW), None);
        limit.leave_out(begin);
        assert_eq!(limit.told(begin + WINDOW), Some(1));
    }

    #[test]
    fn a_clock_that_goes_back_lets_nothing_through() {
        let mut limit = LineLimit::new(1, WINDOW);
        let begin = Instant::now() + WINDOW;
        assert_eq!(limit.line(begin), Line::Write);
        assert_eq!(limit.line(begin - SECOND), Line::LeaveOut);
    }
}
