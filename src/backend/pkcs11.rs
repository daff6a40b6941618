//! A key in a PKCS#11 token.
//!
//! A [`TokenKey`] is connected, or knows why not. Whatever fails disconnects it, and the next call
//! connects it anew: token, session, login, key. A key is compared with the chain's public key and
//! makes one signature of something harmless before it is used, each time.

mod connection;
mod fault;
mod find;
mod module;
mod pin;
mod point;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Granted, KeyFault, Pkcs11Source, ServiceMessage, Signatures, WholeKey};
use crate::privval::RawAllowed;
use crate::types::{PublicKey, Signature};
use connection::{Connection, Held};
pub(super) use module::Modules;
use module::{Module, Stale};

/// A key in a token.
struct TokenKey {
    module: Arc<Module>,
    source: Pkcs11Source,
    public_key: PublicKey,
    /// The connection, or why there is none.
    link: Result<Connection, KeyFault>,
}

/// Opens a key. With `expected`, one that cannot be reached now is opened all the same, disconnected.
///
/// # Errors
/// [`KeyFault`]: of any kind without `expected`, else one that does not pass by itself.
pub(super) fn open(
    source: &Pkcs11Source,
    expected: Option<&PublicKey>,
    module: Arc<Module>,
) -> Result<Box<dyn WholeKey>, KeyFault> {
    let link = Connection::open(&module, source, expected);
    let public_key = match (&link, expected) {
        (Ok(connection), _) => connection.public_key().clone(),
        (Err(fault), Some(expected)) if fault.may_pass() => expected.clone(),
        (Err(fault), _) => return Err(fault.clone()),
    };
    Ok(Box::new(TokenKey { module, source: source.clone(), public_key, link }))
}

impl TokenKey {
    /// Does something with the key in its token, after connecting if need be. A fault that is not
    /// the request's disconnects.
    fn with_key<T>(&mut self, act: impl Fn(&Held) -> Result<T, KeyFault>) -> Result<T, KeyFault> {
        let mut done = self.connected()?.with(&act);
        if matches!(done, Err(Stale)) {
            // Another key of this module has started it anew; that is no fault of this one.
            self.disconnect(KeyFault::Unreachable(Stale.to_string()));
            done = self.connected()?.with(&act);
        }
        let result = done.unwrap_or_else(|stale| Err(KeyFault::Unreachable(stale.to_string())));
        if let Err(fault) = &result
            && !fault.is_of_the_request()
        {
            self.disconnect(fault.clone());
        }
        result
    }

    fn connected(&mut self) -> Result<&Connection, KeyFault> {
        if self.link.is_err() {
            self.link = Connection::open(&self.module, &self.source, Some(&self.public_key));
        }
        self.link.as_ref().map_err(KeyFault::clone)
    }

    fn disconnect(&mut self, fault: KeyFault) {
        self.link = Err(fault);
    }
}

impl WholeKey for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault> {
        self.with_key(|held| {
            let sign = |bytes: &[u8]| held.sign(bytes);
            let vote = granted.vote().map(sign).transpose()?;
            let extension = granted.extension().map(sign).transpose()?;
            let non_rp = granted.non_rp().map(sign).transpose()?;
            Ok(Signatures { vote, extension, non_rp })
        })
    }

    fn sign_raw(&mut self, allowed: RawAllowed) -> Result<Signature, KeyFault> {
        self.with_key(|held| held.sign(allowed.as_bytes()))
    }

    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        let key = self.public_key.clone();
        let what = message.to_sign(&key)?;
        self.with_key(|held| held.sign_this(what))
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        self.with_key(Held::look)
    }
}
