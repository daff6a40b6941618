//! A key that is opened by the first who needs it.

use super::{Granted, KeyFault, ServiceMessage, Signatures, WholeKey};
use crate::privval::RawAllowed;
use crate::types::{PublicKey, Signature};

/// Opens a key.
pub(super) type Open = Box<dyn FnMut() -> Result<Box<dyn WholeKey>, KeyFault> + Send>;

/// A key whose public half is known and whose private half was not looked for yet, or not found. Each
/// use and each look tries again until it is open.
pub(super) struct Later {
    public_key: PublicKey,
    open: Open,
    key: Option<Box<dyn WholeKey>>,
}

impl Later {
    pub(super) fn new(public_key: &PublicKey, open: Open) -> Self {
        Self { public_key: public_key.clone(), open, key: None }
    }

    fn opened(&mut self) -> Result<&mut Box<dyn WholeKey>, KeyFault> {
        match &mut self.key {
            Some(key) => Ok(key),
            empty => {
                let key = (self.open)()?;
                // Whatever opened it: another key than the chain's is never used.
                if *key.public_key() != self.public_key {
                    let (expected, found) = (self.public_key.clone(), key.public_key().clone());
                    return Err(KeyFault::WrongKey { expected, found });
                }
                Ok(empty.insert(key))
            }
        }
    }
}

impl WholeKey for Later {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault> {
        self.opened()?.sign(granted)
    }

    fn sign_raw(&mut self, allowed: RawAllowed) -> Result<Signature, KeyFault> {
        self.opened()?.sign_raw(allowed)
    }

    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        self.opened()?.sign_service(message)
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        self.opened()?.health()
    }
}
