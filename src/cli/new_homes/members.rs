//! The cosigners of a cluster to be made: their ids, ports and homes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::NewHomesError;
use crate::config::HostPort;
use crate::types::MemberId;
use crate::watermark::Record;

/// First port tried for health and status.
const OPS_PORT: u16 = 2223;

/// One of the homes to be written.
#[derive(Debug)]
pub(in crate::cli) struct Cosigner {
    pub(in crate::cli) id: MemberId,
    pub(in crate::cli) address: HostPort,
    pub(in crate::cli) ops_listen: SocketAddr,
}

/// Numbers the cosigners. `then` is what two on one machine mean, for the warning.
pub(in crate::cli) fn cosigners(
    addresses: &[HostPort],
    then: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Cosigner>, NewHomesError> {
    let mut cosigners: Vec<Cosigner> = Vec::new();
    for (number, address) in (1_u64..).zip(addresses) {
        if cosigners.iter().any(|other| other.address == *address) {
            return Err(NewHomesError::SameCosigner(address.clone()));
        }
        // The threshold's check has refused more cosigners than ids.
        let Ok(id) = MemberId::new(number) else { break };
        let shared = cosigners.iter().find(|other| same_machine(&other.address, address));
        if let Some(other) = shared.filter(|_| address.loopback().is_none()) {
            warnings.push(format!(
                "cosigners {} and {id} are on one machine, {}: {then}",
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

/// Where a node alone serves health and status.
pub(in crate::cli) const fn ops_listen_alone() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), OPS_PORT)
}

/// Whether all cosigners are on this machine and the key has never signed. For any other key the
/// steps that stop its validator must be read.
pub(in crate::cli) fn is_trial(record: &Record, cosigners: &[Cosigner]) -> bool {
    record.mark().is_none()
        && cosigners.iter().all(|cosigner| cosigner.address.loopback().is_some())
}

/// The home of a member, inside `parent`.
pub(in crate::cli) fn home_of(parent: &Path, id: MemberId) -> PathBuf {
    parent.join(format!("cosigner-{id}"))
}

/// Refuses every `cosigner-N` that is there, not only those to be written: homes of two clusters in
/// one directory would be mixed up.
pub(in crate::cli) fn check_out(out: &Path) -> Result<(), NewHomesError> {
    let ids = (1..).map_while(|number| MemberId::new(number).ok());
    check_absent(ids.map(|id| home_of(out, id)), "--out")
}

/// Refuses whatever is there, also links that lead nowhere.
pub(in crate::cli) fn check_absent(
    paths: impl IntoIterator<Item = PathBuf>,
    flag: &'static str,
) -> Result<(), NewHomesError> {
    for path in paths {
        match fs::symlink_metadata(&path) {
            Ok(_) => return Err(NewHomesError::Exists { path, flag }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(NewHomesError::Write { doing: "look at", path, source }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(addresses: &[&str]) -> (Vec<u16>, Vec<String>) {
        let addresses: Vec<HostPort> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut warnings = Vec::new();
        let cosigners = cosigners(&addresses, "both go down", &mut warnings).unwrap();
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
    fn warns_of_two_cosigners_on_one_machine_but_not_of_a_test_on_loopback() {
        let (_, warnings) = planned(&["a.example:1", "b.example:1", "A.example:2"]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("1 and 3"), "{warnings:?}");
        assert!(warnings[0].ends_with("both go down"), "{warnings:?}");
        assert!(planned(&["127.0.0.1:1", "127.0.0.1:2"]).1.is_empty());
    }
}
