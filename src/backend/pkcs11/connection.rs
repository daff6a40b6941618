//! A session with a token in which the key was found, compared and tried.

use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{AttributeType, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::fault;
use super::module::{Epoch, Module, Stale};
use super::{find, pin};
use crate::backend::verified::{TEST_MESSAGE, verified, verifier};
use crate::backend::{KeyFault, Pkcs11Source, ToSign};
use crate::types::{Algorithm, PublicKey, Signature, Verifier};

/// A connection. Closed when dropped.
pub(super) struct Connection {
    module: Arc<Module>,
    epoch: Epoch,
    held: Option<Held>,
    public_key: PublicKey,
}

/// The key in its token, in a session that is logged in.
pub(super) struct Held {
    context: Pkcs11,
    session: Session,
    slot: Slot,
    serial: String,
    key: ObjectHandle,
    algorithm: Algorithm,
    verifier: Verifier,
}

impl Connection {
    /// Connects. `expected` is the key's public key if that is known.
    pub(super) fn open(
        module: &Arc<Module>,
        source: &Pkcs11Source,
        expected: Option<&PublicKey>,
    ) -> Result<Self, KeyFault> {
        let ((held, public_key), epoch) =
            module.attempt(|context| Held::open(context, module, source, expected))?;
        Ok(Self { module: Arc::clone(module), epoch, held: Some(held), public_key })
    }

    pub(super) const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Does something with the key, unless the module was started anew since.
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&Held) -> Result<T, KeyFault>,
    ) -> Result<Result<T, KeyFault>, Stale> {
        let held = self.held.as_ref().ok_or(Stale)?;
        self.module.within(&self.epoch, |_| act(held))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        // Not in a later run of the module: there the number can be another key's session. An error
        // means that the session is gone already.
        let _ = self.module.within(&self.epoch, |_| held.session.close());
    }
}

impl Held {
    fn open(
        context: &Pkcs11,
        module: &Module,
        source: &Pkcs11Source,
        expected: Option<&PublicKey>,
    ) -> Result<(Self, PublicKey), KeyFault> {
        let (slot, serial) = find::token(context, &source.token)?;
        // Closed by hand: see `Connection`.
        let session = context.open_ro_session_no_drop(slot).map_err(fault)?;
        let ready = pin::login(context, module, &session, slot, &source.pin)
            .and_then(|()| find::key(&session, source))
            .and_then(|(key, public_key)| {
                let verifier = check(&session, key, &public_key, expected)?;
                Ok((key, public_key, verifier))
            });
        match ready {
            Ok((key, public_key, verifier)) => {
                let (context, algorithm) = (context.clone(), public_key.algorithm());
                let held = Self { context, session, slot, serial, key, algorithm, verifier };
                Ok((held, public_key))
            }
            Err(fault) => {
                // The first fault is the one to tell.
                let _ = session.close();
                Err(fault)
            }
        }
    }

    /// Signs. I5: what does not verify stays here.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature, KeyFault> {
        self.sign_this(ToSign::of(self.algorithm, message))
    }

    /// The same for a digest, where the key signs digests.
    pub(super) fn sign_this(&self, what: ToSign<'_>) -> Result<Signature, KeyFault> {
        sign(&self.session, self.key, self.algorithm, &self.verifier, what)
    }

    /// Whether token and key are still there, without a signature. A session alone does not know
    /// (SoftHSM2 goes on giving its state), so both are asked for.
    pub(super) fn look(&self) -> Result<(), KeyFault> {
        let token = self.context.get_token_info(self.slot).map_err(fault)?;
        if token.serial_number() != self.serial {
            return Err(KeyFault::Unreachable(format!(
                "the token in slot {} is now another one (serial {:?}, was {:?})",
                self.slot,
                token.serial_number(),
                self.serial
            )));
        }
        self.session.get_attributes(self.key, &[AttributeType::Class]).map_err(fault)?;
        Ok(())
    }
}

/// Lets a key pass only if it is the expected one, and signs.
fn check(
    session: &Session,
    key: ObjectHandle,
    found: &PublicKey,
    expected: Option<&PublicKey>,
) -> Result<Verifier, KeyFault> {
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(KeyFault::WrongKey { expected: expected.clone(), found: found.clone() });
    }
    let verifier = verifier(found)?;
    let what = ToSign::of(found.algorithm(), TEST_MESSAGE);
    sign(session, key, found.algorithm(), &verifier, what)?;
    Ok(verifier)
}

fn sign(
    session: &Session,
    key: ObjectHandle,
    algorithm: Algorithm,
    verifier: &Verifier,
    what: ToSign<'_>,
) -> Result<Signature, KeyFault> {
    let made = match &what {
        ToSign::Digest(digest) => session.sign(&Mechanism::Ecdsa, key, digest),
        ToSign::Message(message) => {
            let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
            session.sign(&mechanism, key, message)
        }
    };
    let made = made.map_err(|error| match (error, &what) {
        // All that is known of the limit; the key itself is well. A digest is never too long.
        (Error::Pkcs11(RvError::DataLenRange, _), ToSign::Message(message)) => {
            KeyFault::TooLong { length: message.len(), limit: message.len().saturating_sub(1) }
        }
        (other, _) => fault(other),
    })?;
    verified(verifier, algorithm, &what, &made)
}
