//! A share on its way to a member's machine: a file under a passphrase.
//!
//! | what | bytes |
//! |---|---|
//! | `cosigner share 1`, newline | 17 |
//! | member | 2 |
//! | hash of the members | 32 |
//! | edition of the member list | 8 |
//! | length of the chain id, chain id | 1 + up to 50 |
//! | salt | 16 |
//! | nonce | 12 |
//! | content, sealed, and its tag | the rest but 32 |
//! | SHA-256 of all before | 32 |
//!
//! Numbers are big-endian. The key is Argon2id of the passphrase (RFC 9106, second recommended
//! parameters: 64 MiB, three passes, four lanes), the seal ChaCha20-Poly1305 with everything before the
//! content as associated data. Who the file is for can so be read before the passphrase is asked for,
//! and is authentic once it opens. The hash tells a damaged file from a wrong passphrase, no more.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::types::{ChainId, MemberId, SetupHash};

const MAGIC: &[u8] = b"cosigner share ";
const VERSION: &[u8] = b"1\n";
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const SUM_BYTES: usize = 32;
/// Of Argon2id, in KiB: 64 MiB.
const MEMORY: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// Whoever has the file can try passphrases without end.
pub const SHORTEST_PASSPHRASE: usize = 8;

/// Longer files are none of these, in bytes.
pub const LONGEST_SHARE_FILE: usize = 1 << 20;

/// Whom a share is for: open to read, and authentic once the file is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareHead {
    /// The member.
    pub member: MemberId,
    /// Hash of the members that it belongs to.
    pub members: SetupHash,
    /// Edition of the member list inside.
    pub serial: u64,
    /// The chain.
    pub chain: ChainId,
}

/// What a member needs to serve one more chain. The share is wiped when this is dropped.
pub struct ShareContent {
    /// The share's bytes.
    pub share: Zeroizing<[u8; 32]>,
    /// The watermark to begin with, as its own room writes it; empty if the file brings none.
    pub floor: Vec<u8>,
    /// The member list, the text of `cluster.toml`.
    pub list: String,
    /// What `cosigner.toml` is to say about the chain.
    pub settings: String,
}

/// Why a share file was not written, or not opened.
#[derive(Debug, thiserror::Error)]
pub enum ShareFileError {
    /// Something else.
    #[error("this is no share file of `cosigner`")]
    NotOne,
    /// From a later release.
    #[error("this share file is of a format that is not known here; use the release that wrote it")]
    Version,
    /// Cut off or changed on the way.
    #[error("this share file is damaged: copy it again from where it was written")]
    Damaged,
    /// The seal does not open.
    #[error("the passphrase is not the one that this file was written with")]
    Passphrase,
    /// Whoever has the file can try passphrases without end.
    #[error("a passphrase has at least {SHORTEST_PASSPHRASE} characters; this one has {0}")]
    Short(usize),
    /// Too much to be carried.
    #[error("the member list is too long for a share file")]
    TooLong,
    /// No randomness.
    #[error("no randomness from the system: {0}")]
    Randomness(getrandom::Error),
    /// Not enough memory, most likely.
    #[error("no key could be made from the passphrase: {0}")]
    Derive(argon2::Error),
}

/// Refuses a passphrase that could be found by trying.
///
/// # Errors
/// [`ShareFileError::Short`].
pub fn check_passphrase(passphrase: &str) -> Result<(), ShareFileError> {
    match passphrase.chars().count() {
        count if count < SHORTEST_PASSPHRASE => Err(ShareFileError::Short(count)),
        _ => Ok(()),
    }
}

/// The bytes of a share file.
///
/// # Errors
/// [`ShareFileError`].
pub fn seal_share(
    head: &ShareHead,
    content: &ShareContent,
    passphrase: &str,
) -> Result<Vec<u8>, ShareFileError> {
    check_passphrase(passphrase)?;
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
    getrandom::fill(&mut salt).map_err(ShareFileError::Randomness)?;
    getrandom::fill(&mut nonce).map_err(ShareFileError::Randomness)?;
    let mut file = open_part(head, &salt, &nonce)?;
    let mut sealed = content.encode()?;
    let cipher = cipher(passphrase, &salt)?;
    cipher
        .encrypt_in_place(&Nonce::from(nonce), &file, &mut *sealed)
        .map_err(|_| ShareFileError::TooLong)?;
    file.extend_from_slice(&sealed);
    let sum = Sha256::digest(&file);
    file.extend_from_slice(&sum);
    if file.len() > LONGEST_SHARE_FILE { Err(ShareFileError::TooLong) } else { Ok(file) }
}

/// Whom a share file is for. Not authentic before [`open_share`] has opened it.
///
/// # Errors
/// [`ShareFileError`] if it is none, of another version, or damaged.
pub fn read_head(file: &[u8]) -> Result<ShareHead, ShareFileError> {
    take_apart(file).map(|parts| parts.head)
}

/// Opens a share file.
///
/// # Errors
/// [`ShareFileError`].
pub fn open_share(
    file: &[u8],
    passphrase: &str,
) -> Result<(ShareHead, ShareContent), ShareFileError> {
    let Parts { head, salt, nonce, open, sealed } = take_apart(file)?;
    let mut content = Zeroizing::new(sealed.to_vec());
    let cipher = cipher(passphrase, &salt)?;
    cipher
        .decrypt_in_place(&Nonce::from(nonce), open, &mut *content)
        .map_err(|_| ShareFileError::Passphrase)?;
    let content = ShareContent::decode(&content).ok_or(ShareFileError::Damaged)?;
    Ok((head, content))
}

struct Parts<'f> {
    head: ShareHead,
    salt: [u8; SALT_BYTES],
    nonce: [u8; NONCE_BYTES],
    /// Everything before the content.
    open: &'f [u8],
    sealed: &'f [u8],
}

fn open_part(
    head: &ShareHead,
    salt: &[u8; SALT_BYTES],
    nonce: &[u8; NONCE_BYTES],
) -> Result<Vec<u8>, ShareFileError> {
    let chain = head.chain.as_str().as_bytes();
    let mut open = [MAGIC, VERSION].concat();
    open.extend(head.member.get().to_be_bytes());
    open.extend(head.members.0);
    open.extend(head.serial.to_be_bytes());
    open.push(u8::try_from(chain.len()).map_err(|_| ShareFileError::TooLong)?);
    open.extend(chain);
    open.extend(salt);
    open.extend(nonce);
    Ok(open)
}

fn take_apart(file: &[u8]) -> Result<Parts<'_>, ShareFileError> {
    let rest = file.strip_prefix(MAGIC).ok_or(ShareFileError::NotOne)?;
    // Before the checksum, which is this version's business.
    rest.strip_prefix(VERSION).ok_or(ShareFileError::Version)?;
    let (whole, sum) = file.split_last_chunk::<SUM_BYTES>().ok_or(ShareFileError::Damaged)?;
    if Sha256::digest(whole).as_slice() != sum {
        return Err(ShareFileError::Damaged);
    }
    parts(whole).ok_or(ShareFileError::Damaged)
}

fn parts(whole: &[u8]) -> Option<Parts<'_>> {
    let mut rest = Reader(whole.strip_prefix(MAGIC)?.strip_prefix(VERSION)?);
    let member = MemberId::new(u16::from_be_bytes(rest.take()?).into()).ok()?;
    let members = SetupHash(rest.take()?);
    let serial = u64::from_be_bytes(rest.take()?);
    let [length] = rest.take()?;
    let chain = std::str::from_utf8(rest.slice(length.into())?).ok()?;
    let chain = ChainId::new(chain).ok()?;
    let (salt, nonce) = (rest.take()?, rest.take()?);
    let open = whole.get(..whole.len().checked_sub(rest.0.len())?)?;
    let head = ShareHead { member, members, serial, chain };
    (rest.0.len() > TAG_BYTES).then_some(Parts { head, salt, nonce, open, sealed: rest.0 })
}

fn cipher(passphrase: &str, salt: &[u8]) -> Result<ChaCha20Poly1305, ShareFileError> {
    let params = Params::new(MEMORY, PASSES, LANES, Some(32)).map_err(ShareFileError::Derive)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(ShareFileError::Derive)?;
    Ok(ChaCha20Poly1305::new(&Key::from(*key)))
}

impl ShareContent {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ShareFileError> {
        let parts = [self.floor.as_slice(), self.list.as_bytes(), self.settings.as_bytes()];
        let length: usize = parts.iter().map(|part| part.len().saturating_add(4)).sum();
        // With its capacity, the tag's too, from the start: growing would leave copies of the share behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(32 + length + TAG_BYTES));
        bytes.extend(self.share.iter());
        for part in parts {
            let length = u32::try_from(part.len()).map_err(|_| ShareFileError::TooLong)?;
            bytes.extend(length.to_be_bytes());
            bytes.extend(part);
        }
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        let share = Zeroizing::new(rest.take()?);
        let floor = rest.part()?.to_vec();
        let list = String::from_utf8(rest.part()?.to_vec()).ok()?;
        let settings = String::from_utf8(rest.part()?.to_vec()).ok()?;
        rest.0.is_empty().then_some(Self { share, floor, list, settings })
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn part(&mut self) -> Option<&'b [u8]> {
        let length = u32::from_be_bytes(self.take()?);
        self.slice(usize::try_from(length).ok()?)
    }
}

/// A door for tests/fuzz: what the seal hides. What is accepted is written as the same.
#[cfg(fuzzing)]
#[allow(clippy::unwrap_used)]
pub fn fuzz_share_content(bytes: &[u8]) {
    if let Some(content) = ShareContent::decode(bytes) {
        assert_eq!(content.encode().unwrap().as_slice(), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSPHRASE: &str = "correct horse";

    fn head() -> ShareHead {
        ShareHead {
            member: MemberId::new(3).unwrap(),
            members: SetupHash([7; 32]),
            serial: 5,
            chain: ChainId::new("osmosis-1").unwrap(),
        }
    }

    fn content() -> ShareContent {
        ShareContent {
            share: Zeroizing::new([9; 32]),
            floor: vec![1, 2, 3],
            list: "version = 1\n".to_owned(),
            settings: "[[chain]]\n".to_owned(),
        }
    }

    fn resummed(mut file: Vec<u8>) -> Vec<u8> {
        file.truncate(file.len() - SUM_BYTES);
        let sum = Sha256::digest(&file);
        file.extend_from_slice(&sum);
        file
    }

    #[test]
    fn what_is_sealed_opens_as_the_same() {
        let file = seal_share(&head(), &content(), PASSPHRASE).unwrap();
        assert_eq!(read_head(&file).unwrap(), head());
        assert!(
            !file.windows(32).any(|window| window == [9; 32]),
            "the share stands there in clear"
        );
        let (opened, found) = open_share(&file, PASSPHRASE).unwrap();
        assert_eq!(opened, head());
        let ShareContent { share, floor, list, settings } = found;
        let expected = content();
        assert_eq!((share, floor), (expected.share, expected.floor));
        assert_eq!((list, settings), (expected.list, expected.settings));
        let again = seal_share(&head(), &content(), PASSPHRASE).unwrap();
        assert_ne!(file, again, "salt and nonce are drawn anew");
    }

    #[test]
    fn tells_a_wrong_passphrase_from_a_damaged_file_and_from_another_kind_of_file() {
        let file = seal_share(&head(), &content(), PASSPHRASE).unwrap();
        let refused = open_share(&file, "correct house").err();
        assert!(matches!(refused, Some(ShareFileError::Passphrase)), "{refused:?}");
        for at in [20, 60, file.len() - 40, file.len() - 1] {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            let refused = open_share(&damaged, PASSPHRASE).err();
            assert!(matches!(refused, Some(ShareFileError::Damaged)), "byte {at}: {refused:?}");
        }
        for length in [17, 40, 120, file.len() - 1] {
            let refused = read_head(&file[..length]).err();
            assert!(matches!(refused, Some(ShareFileError::Damaged)), "{length}: {refused:?}");
        }
        assert!(matches!(read_head(b"{}"), Err(ShareFileError::NotOne)));
        let mut later = file;
        later[15] = b'2';
        assert!(matches!(read_head(&later), Err(ShareFileError::Version)));
    }

    /// Whoever changes it can make the sum fit, but not the seal.
    #[test]
    fn whom_it_is_for_cannot_be_changed() {
        let file = seal_share(&head(), &content(), PASSPHRASE).unwrap();
        for at in [18, 30, 58, 62] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let changed = resummed(changed);
            assert_ne!(read_head(&changed).unwrap(), head(), "byte {at}");
            let refused = open_share(&changed, PASSPHRASE).err();
            assert!(matches!(refused, Some(ShareFileError::Passphrase)), "byte {at}: {refused:?}");
        }
    }

    #[test]
    fn a_passphrase_that_is_soon_found_is_refused() {
        let refused = seal_share(&head(), &content(), "seven77").err();
        assert!(matches!(refused, Some(ShareFileError::Short(7))), "{refused:?}");
    }
}
