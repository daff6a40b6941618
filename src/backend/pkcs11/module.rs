//! One PKCS#11 module, shared by all keys that are in its tokens.
//!
//! A module has one state for the whole process: `C_Initialize` once, for everybody. Some modules
//! look for tokens only then (SoftHSM2 does), so that a token that went away and came back is seen
//! after `C_Finalize` and `C_Initialize` alone. That voids every session, and later ones may get the
//! same numbers: a session is therefore used and closed only in the run of the module that it was
//! opened in, its [`Epoch`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::fault::fault;
use super::pin::Refused;
use crate::backend::KeyFault;

/// Not more often than this is a module started anew while other keys of it work.
const RESET_INTERVAL: Duration = Duration::from_secs(60);

/// The modules of a process, each once.
#[derive(Clone, Default)]
pub(in crate::backend) struct Modules(BTreeMap<PathBuf, Arc<Module>>);

/// A module.
pub(in crate::backend) struct Module {
    path: PathBuf,
    library: RwLock<Library>,
    /// PINs that tokens of this module have refused. Held during a login, so that two keys do not
    /// try the same wrong PIN at once.
    refused: Mutex<Refused>,
    reset_interval: Duration,
}

/// One run of a module, from `C_Initialize` to `C_Finalize`; clones count the connections in it.
pub(super) type Epoch = Arc<()>;

/// A connection of an earlier run was used. Nothing was done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its module was started anew for another key")]
pub(super) struct Stale;

#[derive(Default)]
struct Library {
    /// Stays loaded: not every library survives being unloaded.
    context: Option<Pkcs11>,
    run: Option<Run>,
    /// When it was last started anew.
    reset: Option<Instant>,
}

struct Run {
    context: Pkcs11,
    epoch: Epoch,
    /// Not if something else in this process had initialised it before.
    ours: bool,
}

impl Modules {
    /// The module at this path; loaded when a key first needs it.
    pub(in crate::backend) fn get(&mut self, path: &Path) -> Arc<Module> {
        let new = || Arc::new(Module::new(path, RESET_INTERVAL));
        Arc::clone(self.0.entry(path.to_owned()).or_insert_with(new))
    }
}

impl Module {
    pub(super) fn new(path: &Path, reset_interval: Duration) -> Self {
        let (library, refused) = (RwLock::default(), Mutex::default());
        Self { path: path.to_owned(), library, refused, reset_interval }
    }

    /// Runs `attempt`. If that does not find what it looks for, the module is started anew, if no
    /// other key would suffer from it, and `attempt` runs once more.
    ///
    /// # Errors
    /// [`KeyFault`] of the last attempt.
    pub(super) fn attempt<T>(
        &self,
        attempt: impl Fn(&Pkcs11) -> Result<T, KeyFault>,
    ) -> Result<(T, Epoch), KeyFault> {
        let epoch = self.started()?;
        let fault = match self.within(&epoch, &attempt) {
            Ok(Ok(made)) => return Ok((made, epoch)),
            Ok(Err(fault)) => fault,
            Err(Stale) => KeyFault::Unreachable(Stale.to_string()),
        };
        if !may_be_out_of_date(&fault) || !self.reset(&epoch)? {
            return Err(fault);
        }
        let epoch = self.started()?;
        match self.within(&epoch, attempt) {
            Ok(made) => made.map(|made| (made, epoch)),
            Err(stale) => Err(KeyFault::Unreachable(stale.to_string())),
        }
    }

    /// Calls the module in this run of it; the run does not end meanwhile.
    pub(super) fn within<T>(
        &self,
        epoch: &Epoch,
        act: impl FnOnce(&Pkcs11) -> T,
    ) -> Result<T, Stale> {
        let library = self.library.read().unwrap_or_else(PoisonError::into_inner);
        match &library.run {
            Some(run) if Arc::ptr_eq(&run.epoch, epoch) => Ok(act(&run.context)),
            _ => Err(Stale),
        }
    }

    pub(super) fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present run; the first one begins here.
    fn started(&self) -> Result<Epoch, KeyFault> {
        let library = self.library.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = &library.run {
            return Ok(Arc::clone(&run.epoch));
        }
        drop(library);
        let mut library = self.library.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = &library.run {
            return Ok(Arc::clone(&run.epoch));
        }
        let context = match &library.context {
            Some(context) => context,
            None => library.context.insert(self.load()?),
        };
        let run = Run::start(context.clone())?;
        let epoch = Arc::clone(&run.epoch);
        library.run = Some(run);
        Ok(epoch)
    }

    fn load(&self) -> Result<Pkcs11, KeyFault> {
        Pkcs11::new(&self.path).map_err(|error| match error {
            Error::Pkcs11(..) => fault(error),
            other => KeyFault::NotFound(format!(
                "the PKCS#11 module {} cannot be loaded: {other}",
                self.path.display()
            )),
        })
    }

    /// Ends the run `seen` of the module, unless that has happened already. False if it must not be
    /// ended now.
    pub(super) fn reset(&self, seen: &Epoch) -> Result<bool, KeyFault> {
        // Never waits: a call of another key that does not come back must not stop this one for
        // ever, and the module may not be finalised under it.
        let mut library = match self.library.try_write() {
            Ok(library) => library,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let Some(run) = &library.run else { return Ok(true) };
        if !Arc::ptr_eq(&run.epoch, seen) {
            return Ok(true);
        }
        // One is the run's own and one is `seen`: the others are connections that work.
        let others = Arc::strong_count(&run.epoch) > 2;
        let lately = library.reset.is_some_and(|reset| reset.elapsed() < self.reset_interval);
        let context = run.context.clone();
        if is_not_initialized(&context.get_library_info()) {
            // Somebody else in this process has finalised it.
            library.run = None;
            return Ok(true);
        }
        if !run.ours || (others && lately) {
            return Ok(false);
        }
        library.run = None;
        library.reset = Some(Instant::now());
        tracing::debug!(module = %self.path.display(), "PKCS#11 module started anew");
        context.finalize().map(|()| true).map_err(fault)
    }
}

impl Run {
    fn start(context: Pkcs11) -> Result<Self, KeyFault> {
        let ours = match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => true,
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => false,
            Err(error) => return Err(fault(error)),
        };
        Ok(Self { context, epoch: Epoch::default(), ours })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let library = self.library.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = library.run.take().filter(|run| run.ours) {
            // Nobody is left who could do anything about an error.
            let _ = run.context.finalize();
        }
    }
}

const fn is_not_initialized<T>(said: &Result<T, Error>) -> bool {
    matches!(said, Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)))
}

/// Whether a module that looks for tokens only when it starts could say this of a token that is there.
const fn may_be_out_of_date(fault: &KeyFault) -> bool {
    matches!(fault, KeyFault::Unreachable(_) | KeyFault::NotFound(_) | KeyFault::Other(_))
}
