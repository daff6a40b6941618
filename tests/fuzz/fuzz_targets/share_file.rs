//! Share files: any bytes, a sealed one with bytes changed or cut off, what the seal hides. None opens
//! but the one that was sealed. What the key costs is not in the file, so no file makes it cost more:
//! the limits of time and memory that every target has are far below what else could be asked for.
#![no_main]

use std::sync::LazyLock;

use cosigner::keystore::{
    ShareContent, ShareFileError, ShareHead, fuzz_share_content, open_share, read_head, seal_share,
};
use cosigner::types::{ChainId, MemberId, SetupHash};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse";

fn head() -> ShareHead {
    ShareHead {
        member: MemberId::new(3).unwrap(),
        members: SetupHash([7; 32]),
        serial: 5,
        chain: ChainId::new("osmosis-1").unwrap(),
    }
}

static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let content = ShareContent {
        share: Zeroizing::new([9; 32]),
        floor: vec![1, 2, 3],
        list: "version = 1\n".to_owned(),
        settings: "[[chain]]\n".to_owned(),
    };
    seal_share(&head(), &content, PASSPHRASE).unwrap()
});

fn summed(file: &[u8]) -> Vec<u8> {
    [file, Sha256::digest(file).as_slice()].concat()
}

/// Whom a file is for is what stands in it.
fn whom(file: &[u8]) {
    match read_head(file) {
        Ok(head) => {
            let ShareHead { member, members, serial, chain } = head;
            let chain = chain.as_str().as_bytes();
            let written = [
                b"cosigner share 1\n".as_slice(),
                &member.get().to_be_bytes(),
                &members.0,
                &serial.to_be_bytes(),
                &[u8::try_from(chain.len()).unwrap()],
                chain,
            ];
            assert!(file.starts_with(&written.concat()));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// The sealed file without its sum, cut off somewhere, with some bytes others.
fn changed(input: &[u8]) -> Vec<u8> {
    let mut file = SEALED[..SEALED.len() - 32].to_vec();
    let (cut, changes) = input.split_first().unwrap_or((&0, &[]));
    file.truncate(file.len().saturating_sub(usize::from(*cut)));
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]);
        if let Some(byte) = file.get_mut(at) {
            *byte = change[1];
        }
    }
    file
}

/// Opened with the right passphrase.
fn open(file: &[u8]) {
    match open_share(file, PASSPHRASE) {
        Ok((opened, content)) => {
            assert_eq!(file, *SEALED, "a changed file that opens");
            assert_eq!((opened, *content.share), (head(), [9; 32]));
        }
        Err(ShareFileError::Derive(why)) => panic!("{why}"),
        Err(_) => assert_ne!(file, *SEALED, "a sealed file that does not open"),
    }
}

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b's', content)) => fuzz_share_content(content),
        Some((b'f', file)) => {
            whom(file);
            whom(&summed(file));
        }
        Some((b'd', changes)) => {
            let file = changed(changes);
            whom(&file);
            whom(&summed(&file));
            // Without a right sum no key is made.
            open(&file);
        }
        // Few, as making a key takes a tenth of a second.
        Some((b'o', changes)) if changes.starts_with(b"pen") && changes.len() <= 8 => {
            open(&summed(&changed(&changes[3..])));
        }
        _ => {}
    }
});
