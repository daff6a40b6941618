//! Log level and format.

use std::fmt;
use std::str::FromStr;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// One level, or several per module: `info` or `info,cosigner::raft=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people and journald.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a log setting was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not one of the levels.
    #[error(
        "{0:?} is no log level: use error, warn, info, debug or trace, or per module as in \"info,cosigner::raft=debug\""
    )]
    Level(String),
    /// Not one of the formats.
    #[error("{0:?} is no log format: use \"text\" or \"json\"")]
    Format(String),
}

impl LogLevel {
    /// In the form that `tracing_subscriber::EnvFilter` takes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = LogError;

    // Checked here because EnvFilter takes a misspelt level for the name of a module.
    fn from_str(text: &str) -> Result<Self, LogError> {
        let refused = || LogError::Level(text.to_owned());
        for directive in text.split(',') {
            let (module, level) = match directive.split_once('=') {
                Some((module, level)) => (Some(module), level),
                None => (None, directive),
            };
            let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            if module.is_some_and(|module| module.is_empty() || !module.chars().all(named)) {
                return Err(refused());
            }
            if !LEVELS.contains(&level) {
                return Err(refused());
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogError::Format(other.to_owned())),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_levels_alone_and_per_module() {
        for text in ["info", "trace", "warn,cosigner::raft=debug", "cosigner=off"] {
            assert_eq!(text.parse::<LogLevel>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_a_misspelt_level_instead_of_taking_it_for_a_module() {
        for text in ["", "infoo", "INFO", "cosigner=loud", "=info", "info,", "a b=info"] {
            assert_eq!(text.parse::<LogLevel>(), Err(LogError::Level(text.to_owned())));
        }
        assert_eq!("xml".parse::<LogFormat>(), Err(LogError::Format("xml".to_owned())));
    }
}
