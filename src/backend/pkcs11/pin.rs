//! The PIN: where it is read, and that a token is never asked twice with one that it refused.
//!
//! Tokens lock themselves after a few wrong PINs, some for ever. So a PIN that a token has refused is
//! not offered to it again, and the last try before the lock is left to people.

use std::collections::BTreeSet;
use std::env;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::fault::{fault, is_pin};
use super::module::Module;
use crate::backend::{KeyFault, Pin, secret_file};

/// More than any token takes.
const MAX_BYTES: usize = 4096;

/// PINs that were refused, by token. Only salted hashes of them, and gone with the process.
#[derive(Default)]
pub(super) struct Refused {
    salt: Option<[u8; 32]>,
    hashes: BTreeSet<[u8; 32]>,
}

/// How a PIN stands with its token before it is offered.
struct Standing {
    /// The token says that it has locked its user PIN.
    locked: bool,
    /// The token has refused this very PIN.
    refused: bool,
    /// The token says that it would lock itself at one more wrong one.
    final_try: bool,
}

/// Logs a session in, unless the process is logged in to that token already.
///
/// # Errors
/// [`KeyFault::Pin`] says what is wrong with the PIN and what to do.
pub(super) fn login(
    context: &Pkcs11,
    module: &Module,
    session: &Session,
    slot: Slot,
    pin: &Pin,
) -> Result<(), KeyFault> {
    // Held until the token has answered: see `Module`.
    let mut refused = module.refused();
    let state = session.get_session_info().map_err(fault)?.session_state();
    let token = context.get_token_info(slot).map_err(fault)?;
    if !token.login_required() || matches!(state, SessionState::RoUser | SessionState::RwUser) {
        return Ok(());
    }
    let of = format!("token {:?} (serial {})", token.label(), token.serial_number());
    let text = read(pin)?;
    let standing = Standing {
        locked: token.user_pin_locked(),
        refused: refused.contains(token.serial_number(), &text)?,
        final_try: token.user_pin_final_try(),
    };
    standing.allows_a_try(&of, pin)?;
    let secret = AuthPin::new(text.as_str().into());
    match session.login(UserType::User, Some(&secret)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(value, function)) if is_pin(&value) => {
            refused.insert(token.serial_number(), &text)?;
            let KeyFault::Pin(said) = fault(Error::Pkcs11(value, function)) else {
                return Err(fault(Error::Pkcs11(value, function)));
            };
            Err(KeyFault::Pin(format!(
                "{of}: {said}; put the right one into {}. This one is not tried again",
                place(pin)
            )))
        }
        Err(error) => Err(fault(error)),
    }
}

impl Standing {
    fn allows_a_try(&self, of: &str, pin: &Pin) -> Result<(), KeyFault> {
        if self.locked {
            return Err(KeyFault::Pin(format!(
                "{of} has locked its user PIN (CKF_USER_PIN_LOCKED); unlock it with the SO PIN. \
                 It is not tried meanwhile"
            )));
        }
        if self.refused {
            return Err(KeyFault::Pin(format!(
                "{of} has refused the PIN that is in {}; it is not tried again before another one is there",
                place(pin)
            )));
        }
        if self.final_try {
            return Err(KeyFault::Pin(format!(
                "{of} would lock itself at one more wrong PIN (CKF_USER_PIN_FINAL_TRY), so none is tried: \
                 log in once by hand with the right one"
            )));
        }
        Ok(())
    }
}

/// Reads the PIN from where it is, now.
fn read(pin: &Pin) -> Result<Zeroizing<String>, KeyFault> {
    let text = match pin {
        Pin::Inline(text) => text.clone(),
        Pin::Env(name) => match env::var(name) {
            Ok(text) => Zeroizing::new(text),
            Err(env::VarError::NotPresent) => {
                return Err(KeyFault::Pin(format!("the environment variable {name} is not set")));
            }
            // Its text holds the value.
            Err(env::VarError::NotUnicode(_)) => {
                return Err(KeyFault::Pin(format!("the environment variable {name} is not UTF-8")));
            }
        },
        Pin::File(path) => {
            let content = secret_file::read(path, "PIN", MAX_BYTES)
                .map_err(|error| KeyFault::Pin(error.to_string()))?;
            let line = content.strip_suffix(b"\n").unwrap_or(&content);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = std::str::from_utf8(line)
                .map_err(|_| KeyFault::Pin(format!("{}: not UTF-8", path.display())))?;
            Zeroizing::new(text.to_owned())
        }
    };
    if text.is_empty() {
        return Err(KeyFault::Pin(format!("there is none in {}", place(pin))));
    }
    Ok(text)
}

fn place(pin: &Pin) -> String {
    match pin {
        Pin::Inline(_) => "cosigner.toml (and start again)".to_owned(),
        Pin::Env(name) => format!("the environment variable {name} (and start again)"),
        Pin::File(path) => path.display().to_string(),
    }
}

impl Refused {
    fn contains(&mut self, serial: &str, pin: &str) -> Result<bool, KeyFault> {
        let hash = self.hash(serial, pin)?;
        Ok(self.hashes.contains(&hash))
    }

    fn insert(&mut self, serial: &str, pin: &str) -> Result<(), KeyFault> {
        let hash = self.hash(serial, pin)?;
        self.hashes.insert(hash);
        Ok(())
    }

    fn hash(&mut self, serial: &str, pin: &str) -> Result<[u8; 32], KeyFault> {
        let salt = match self.salt {
            Some(salt) => salt,
            None => {
                let mut salt = [0; 32];
                getrandom::fill(&mut salt)
                    .map_err(|error| KeyFault::Other(format!("no randomness: {error}")))?;
                *self.salt.insert(salt)
            }
        };
        let length = u64::try_from(serial.len()).unwrap_or(u64::MAX);
        let hash = Sha256::new()
            .chain_update(salt)
            .chain_update(length.to_be_bytes())
            .chain_update(serial)
            .chain_update(pin);
        Ok(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn in_file(content: &[u8], mode: u32) -> Result<Zeroizing<String>, KeyFault> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&Pin::File(path))
    }

    #[test]
    fn remembers_a_refused_pin_for_its_token_only() {
        let mut refused = Refused::default();
        refused.insert("serial", "1234").unwrap();
        assert!(refused.contains("serial", "1234").unwrap());
        assert!(!refused.contains("serial", "1235").unwrap());
        assert!(!refused.contains("other", "1234").unwrap());
        assert!(!refused.contains("serial1", "234").unwrap());
        let other = Refused::default().hash("serial", "1234").unwrap();
        assert!(!refused.hashes.contains(&other), "the salt is drawn anew for each process");
    }

    #[test]
    fn no_pin_is_offered_to_a_token_that_is_locked_or_one_try_before_it() {
        let said = |locked, refused, final_try| {
            let standing = Standing { locked, refused, final_try };
            standing.allows_a_try("token", &Pin::Env("PIN".to_owned()))
        };
        said(false, false, false).unwrap();
        for (locked, refused, final_try, word) in [
            (true, false, false, "CKF_USER_PIN_LOCKED"),
            (false, true, false, "not tried again"),
            (false, false, true, "CKF_USER_PIN_FINAL_TRY"),
            (true, true, true, "CKF_USER_PIN_LOCKED"),
            (false, true, true, "not tried again"),
        ] {
            let fault = said(locked, refused, final_try).unwrap_err();
            assert!(matches!(&fault, KeyFault::Pin(text) if text.contains(word)), "{fault}");
        }
    }

    #[test]
    fn cuts_one_newline_off_a_pin_file() {
        for content in ["12 34", "12 34\n", "12 34\r\n"] {
            assert_eq!(in_file(content.as_bytes(), 0o600).unwrap().as_str(), "12 34");
        }
        assert_eq!(in_file(b"1234\n\n", 0o600).unwrap().as_str(), "1234\n");
    }

    #[test]
    fn says_what_is_wrong_with_where_the_pin_is_and_never_the_pin() {
        let loose = in_file(b"secret-pin", 0o644).unwrap_err().to_string();
        assert!(loose.contains("run: chmod 0600") && !loose.contains("secret-pin"), "{loose}");
        assert!(in_file(b"\n", 0o600).unwrap_err().to_string().contains("there is none"));
        let binary = in_file(b"secret-pin\xff", 0o600).unwrap_err().to_string();
        assert!(binary.contains("not UTF-8") && !binary.contains("secret-pin"), "{binary}");
        let unset = read(&Pin::Env("COSIGNER_NO_SUCH_PIN".to_owned())).unwrap_err();
        assert!(matches!(&unset, KeyFault::Pin(text) if text.contains("COSIGNER_NO_SUCH_PIN")));
        let inline = Pin::Inline(Zeroizing::new("secret-pin".to_owned()));
        assert_eq!(read(&inline).unwrap().as_str(), "secret-pin");
        assert!(!place(&inline).contains("secret-pin"));
    }
}
