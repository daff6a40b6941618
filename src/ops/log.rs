//! Where log lines go: standard error, as text or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStyle {
    /// For people and journald.
    Text,
    /// One JSON object a line.
    Json,
}

/// What libraries say below this is of no use to an operator; directives can ask for it. openraft
/// calls it an error when a member is away; who is away, who leads, and that Raft has stopped, is said
/// by our own lines. At `trace` the AWS crates show requests whole: session token and vote extension.
const LIBRARIES: &str =
    "openraft=off,sled=warn,h2=warn,hyper=warn,tonic=warn,rustls=warn,aws=error";

/// Starts logging. `directives` is a level, or levels per module (`info,cosigner::peer=debug`).
///
/// # Errors
/// If the directives do not parse.
pub fn init_log(directives: &str, style: LogStyle) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(format!("{LIBRARIES},{directives}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(true);
    match style {
        LogStyle::Text => builder.init(),
        LogStyle::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_aws_crates_say_about_requests_is_not_logged_at_any_level() {
        let filter = EnvFilter::builder().parse(format!("{LIBRARIES},trace")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&seen);
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || Collected(Arc::clone(&writer)))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "whole request");
            tracing::trace!(target: "aws_sigv4::http_request::sign", "whole request");
            tracing::trace!(target: "cosigner::peer", "ours");
        });
        let text = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ours") && !text.contains("whole request"), "{text}");
    }

    struct Collected(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Collected {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
