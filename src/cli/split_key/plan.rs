//! All that can be wrong with a split before it begins.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::HostPort;
use crate::types::{ChainId, MemberId, PublicKey, Threshold, UnixMillis};
use crate::validator::Address as ValidatorAddress;
use crate::watermark::{Record, from_cometbft_state};

use super::key_file::KeyFile;
use super::{Args, SplitError};

/// First port tried for health and status.
const OPS_PORT: u16 = 2223;
/// No key or state file is as long as this, in bytes.
const LONGEST_FILE: usize = 64 << 10;

/// A split that can be done.
pub(super) struct Plan {
    pub(super) seed: Zeroizing<[u8; 32]>,
    pub(super) public_key: PublicKey,
    pub(super) chain: ChainId,
    pub(super) threshold: Threshold,
    pub(super) cosigners: Vec<Cosigner>,
    pub(super) validators: Vec<ValidatorAddress>,
    /// The watermark that every home begins with.
    pub(super) record: Record,
    pub(super) out: PathBuf,
    pub(super) warnings: Vec<String>,
}

/// One of the homes to be written.
pub(super) struct Cosigner {
    pub(super) id: MemberId,
    pub(super) address: HostPort,
    pub(super) ops_listen: SocketAddr,
}

impl Plan {
    /// Checks the flags and the files that they name. Writes nothing.
    pub(super) fn check(args: &Args, now: UnixMillis) -> Result<Self, SplitError> {
        let mut warnings = Vec::new();
        let threshold = threshold(args)?;
        let cosigners = cosigners(&args.cosigners, &mut warnings)?;
        check_validators(&args.validators)?;
        check_out(&args.out)?;
        let record = record(args, now)?;
        let key = key(&args.key_file, &mut warnings)?;
        Ok(Self {
            seed: key.seed,
            public_key: key.public_key,
            chain: args.chain_id.clone(),
            threshold,
            cosigners,
            validators: args.validators.clone(),
            record,
            out: args.out.clone(),
            warnings,
        })
    }

    /// Whether all cosigners are on this machine and the key has never signed. For any other key the
    /// steps that stop its validator must be read.
    pub(super) fn is_trial(&self) -> bool {
        self.record.mark().is_none()
            && self.cosigners.iter().all(|cosigner| cosigner.address.loopback().is_some())
    }

    /// The home of a member, inside `parent`.
    pub(super) fn home(parent: &Path, id: MemberId) -> PathBuf {
        parent.join(format!("cosigner-{id}"))
    }
}

fn threshold(args: &Args) -> Result<Threshold, SplitError> {
    let (t, n) = (args.threshold, args.cosigners.len());
    let threshold = Threshold::new(t, u16::try_from(n).unwrap_or(u16::MAX))
        .map_err(|source| SplitError::Threshold { t, n, source })?;
    if n == 1 { Err(SplitError::WholeKey) } else { Ok(threshold) }
}

fn cosigners(
    addresses: &[HostPort],
    warnings: &mut Vec<String>,
) -> Result<Vec<Cosigner>, SplitError> {
    let mut cosigners: Vec<Cosigner> = Vec::new();
    for (number, address) in (1_u64..).zip(addresses) {
        if cosigners.iter().any(|other| other.address == *address) {
            return Err(SplitError::SameCosigner(address.clone()));
        }
        // Threshold::new has refused more cosigners than ids.
        let Ok(id) = MemberId::new(number) else { break };
        let shared = cosigners.iter().find(|other| same_machine(&other.address, address));
        if let Some(other) = shared.filter(|_| address.loopback().is_none()) {
            warnings.push(format!(
                "cosigners {} and {id} are on one machine, {}: whoever breaks in there has both shares",
                other.id,
                address.host()
            ));
        }
        let ops_listen = ops_listen(address, addresses, &cosigners);
        cosigners.push(Cosigner { id, address: address.clone(), ops_listen });
    }
    Ok(cosigners)
}

/// The lowest port from 2223 that no cosigner of the same machine has, so that homes on one machine
/// start as they are.
fn ops_listen(address: &HostPort, all: &[HostPort], before: &[Cosigner]) -> SocketAddr {
    let here = |other: &HostPort| same_machine(other, address);
    let mut taken: BTreeSet<u16> =
        all.iter().filter(|other| here(other)).map(HostPort::port).collect();
    taken.extend(before.iter().filter(|it| here(&it.address)).map(|it| it.ops_listen.port()));
    let port = (OPS_PORT..=u16::MAX).find(|port| !taken.contains(port)).unwrap_or(OPS_PORT);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn same_machine(one: &HostPort, other: &HostPort) -> bool {
    one.host() == other.host() || (one.loopback().is_some() && other.loopback().is_some())
}

fn check_validators(validators: &[ValidatorAddress]) -> Result<(), SplitError> {
    let mut seen = BTreeSet::new();
    match validators.iter().map(ToString::to_string).find(|one| !seen.insert(one.clone())) {
        Some(twice) => Err(SplitError::SameValidator(twice)),
        None => Ok(()),
    }
}

/// Refuses every `cosigner-N` that is there, not only those to be written: homes of two splits in
/// one directory would be mixed up.
fn check_out(out: &Path) -> Result<(), SplitError> {
    for id in (1..).map_while(|number| MemberId::new(number).ok()) {
        let path = Plan::home(out, id);
        match fs::symlink_metadata(&path) {
            Ok(_) => return Err(SplitError::Exists { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SplitError::Write { doing: "look at", path, source }),
        }
    }
    Ok(())
}

fn record(args: &Args, now: UnixMillis) -> Result<Record, SplitError> {
    // clap has seen to it that exactly one of the two flags is there.
    let Some(path) = &args.state_file else { return Ok(Record::never_signed(now)) };
    let read = fs::read_to_string(path);
    let text = read.map_err(|source| SplitError::Read {
        flag: "--state-file",
        path: path.clone(),
        source,
    })?;
    let record = from_cometbft_state(&text, &args.chain_id, now)
        .map_err(|source| SplitError::State { path: path.clone(), source })?;
    // I2: beginning from nothing must be said, not found in a file.
    match record.mark() {
        Some(_) => Ok(record),
        None => Err(SplitError::NothingSigned { path: path.clone() }),
    }
}

fn key(path: &Path, warnings: &mut Vec<String>) -> Result<KeyFile, SplitError> {
    let failed = |source| SplitError::Read { flag: "--key-file", path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        warnings.push(format!(
            "{} has mode {mode:04o}: others on this machine may have read the key",
            path.display()
        ));
    }
    // Read into one buffer that is never moved, so that one wipe is enough.
    let mut buffer = Zeroizing::new(vec![0; LONGEST_FILE]);
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // A file that fills the buffer was cut off, and will not parse.
    KeyFile::parse(buffer.get(..length).unwrap_or_default())
        .map_err(|source| SplitError::Key { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(addresses: &[&str]) -> (Vec<u16>, Vec<String>) {
        let addresses: Vec<HostPort> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut warnings = Vec::new();
        let cosigners = cosigners(&addresses, &mut warnings).unwrap();
        (cosigners.iter().map(|it| it.ops_listen.port()).collect(), warnings)
    }

    #[test]
    fn homes_on_one_machine_get_ports_that_do_not_meet() {
        let (ports, _) = planned(&["10.0.0.1:2222", "10.0.0.2:2222", "10.0.0.3:2222"]);
        assert_eq!(ports, [2223, 2223, 2223]);
        let (ports, _) = planned(&["127.0.0.1:2300", "127.0.0.1:2301", "localhost:2302"]);
        assert_eq!(ports, [2223, 2224, 2225]);
        let (ports, _) = planned(&["127.0.0.1:2222", "127.0.0.1:2223", "127.0.0.1:2224"]);
        assert_eq!(ports, [2225, 2226, 2227]);
        let (ports, _) = planned(&["10.0.0.1:2223", "10.0.0.2:2222"]);
        assert_eq!(ports, [2224, 2223]);
    }

    #[test]
    fn warns_of_two_shares_on_one_machine_but_not_of_a_test_on_loopback() {
        let (_, warnings) = planned(&["a.example:1", "b.example:1", "A.example:2"]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("1 and 3"), "{warnings:?}");
        assert!(planned(&["127.0.0.1:1", "127.0.0.1:2"]).1.is_empty());
    }
}
