//! `status`.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use crate::config::{Home, OpsListen, Overrides, Settings};
use crate::ops::{
    ChainStatus, LastDenied, ServiceKeyStatus, ServiceStatus, Status, ValidatorStatus,
};

use super::CliError;

/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Time between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Show the cluster as this node sees it
///
/// Members, leader, who is reachable and how far, the watermark of each chain, validators connected.
/// Asks the running node at its [ops] listen address.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner status --home /var/lib/cosigner
  cosigner status --watch
  cosigner status --json")]
pub(super) struct Args {
    /// Print the node's /status as it is
    #[arg(long)]
    json: bool,
    /// Print it again every second
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Where the node serves its status, if it was started with this flag or variable
    #[arg(long, env = "COSIGNER_OPS_LISTEN", value_name = "ADDR")]
    ops_listen: Option<OpsListen>,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let overrides = Overrides { ops_listen: args.ops_listen, ..Overrides::default() };
    let settings = Settings::read(home, &overrides)?;
    let address = settings.ops_listen.ok_or(CliError::OpsOff)?;
    loop {
        let body = fetch(address).map_err(|reason| CliError::NoStatus { address, reason })?;
        let shown = if args.json {
            format!("{body}\n")
        } else {
            let status: Status = serde_json::from_str(&body)
                .map_err(|why| CliError::NoStatus { address, reason: why.to_string() })?;
            let clear = if args.watch { "\x1b[2J\x1b[H" } else { "" };
            format!("{clear}{}", table(&status))
        };
        let mut out = io::stdout().lock();
        out.write_all(shown.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)?;
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// Asks the node over HTTP/1.0, which needs no more than a socket.
fn fetch(address: SocketAddr) -> Result<String, String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(MOST_BYTES).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|why| why.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let line = head.lines().next().unwrap_or_default();
    if line.contains(" 200 ") { Ok(body.to_owned()) } else { Err(format!("{line}: {body}")) }
}

/// One screen: this node, members, chains, validators.
fn table(status: &Status) -> String {
    let mut out = String::new();
    let ready = if status.ready { "ready".to_owned() } else { status.not_ready.join(" ") };
    let Status { version, node_id, role, .. } = status;
    if status.members.is_empty() {
        put(&mut out, format_args!("cosigner {version}  signs alone  {ready}"));
    } else {
        put(&mut out, format_args!("cosigner {version}  member {node_id} ({role})  {ready}"));
        members(status, &mut out);
    }
    for chain in &status.chains {
        let mark = chain.watermark.map_or_else(
            || "never signed".to_owned(),
            |mark| format!("{}/{}/{}", mark.height, mark.round, mark.step),
        );
        let ChainStatus { id, backend, threshold, members, counts, .. } = chain;
        let ceiling = chain.ceiling.map_or_else(String::new, |at| format!("  ceiling {at}"));
        put(
            &mut out,
            format_args!("\n{id}  {backend}, {threshold}-of-{members}  watermark {mark}{ceiling}"),
        );
        put(&mut out, format_args!("  address {}  {}", chain.address, chain.valcons));
        put(
            &mut out,
            format_args!(
                "  signed {}  repeated {}  denied {}  failed {}{}",
                counts.signed,
                counts.repeated,
                counts.denied,
                counts.failed,
                chain.nonces_ready.map_or_else(String::new, |it| format!("  nonces ready {it}"))
            ),
        );
        if let Some(denied) = &chain.last_denied {
            let LastDenied { reason, text, height, round, step, at } = denied;
            let ago = seconds_since(*at);
            put(
                &mut out,
                format_args!(
                    "  last denied {height}/{round}/{step} {ago} s ago ({reason}): {text}"
                ),
            );
        }
        if let Some(fault) = &chain.key_fault {
            put(&mut out, format_args!("  KEY UNAVAILABLE ({}): {}", fault.cause, fault.text));
        }
    }
    if let Some(service) = &status.service {
        put_service(service, &mut out);
    }
    for validator in &status.validators {
        let ValidatorStatus { chain_id, address, state, .. } = validator;
        put(&mut out, format_args!("\nvalidator {address}  {chain_id}  {state}"));
    }
    out
}

fn put_service(service: &ServiceStatus, out: &mut String) {
    let tls = if service.tls { "TLS" } else { "no TLS" };
    put(out, format_args!("\nservice on {}, {tls}", service.listen));
    for key in &service.keys {
        let ServiceKeyStatus { id, backend, scheme, counts, .. } = key;
        put(
            out,
            format_args!(
                "  key {id}  {backend}, {scheme}  signed {}  failed {}",
                counts.signed, counts.failed
            ),
        );
        if let Some(fault) = &key.key_fault {
            put(out, format_args!("  KEY UNAVAILABLE ({}): {}", fault.cause, fault.text));
        }
    }
}

fn members(status: &Status, out: &mut String) {
    let leader = status.leader_id.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let Status { node_id, term, .. } = status;
    put(out, format_args!("leader {leader}  term {term}\n"));
    put(
        out,
        format_args!(
            "{:<8}{:<28}{:<12}{:>9}{:>8}",
            "MEMBER", "ADDRESS", "LINK", "RTT ms", "BEHIND"
        ),
    );
    for member in &status.members {
        let link = match (member.id == *node_id, member.connected) {
            (true, _) => "this one",
            (false, true) => "up",
            (false, false) => "down",
        };
        let rtt = member.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.2}"));
        let lag = member.watermark_lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string());
        put(
            out,
            format_args!("{:<8}{:<28}{:<12}{:>9}{:>8}", member.id, member.address, link, rtt, lag),
        );
    }
}

fn seconds_since(at: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(at)
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{line}");
}
