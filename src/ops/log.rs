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
/// by our own lines.
const LIBRARIES: &str = "openraft=off,sled=warn,h2=warn,hyper=warn,tonic=warn,rustls=warn";

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
