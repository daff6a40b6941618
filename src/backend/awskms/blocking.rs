//! Calls that block, on top of a network that does not.

use std::future::Future;
use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::backend::KeyFault;

/// Threads that look up names. A resolver that hangs must not collect more of them.
const LOOKUP_THREADS: usize = 4;

/// A runtime with one thread of its own.
///
/// Not a current-thread runtime: between two signatures nobody would notice then that KMS has closed
/// a connection, or that credentials end.
pub(super) struct Blocking(Option<Runtime>, Handle);

impl Blocking {
    /// Starts the thread.
    pub(super) fn new() -> Result<Self, KeyFault> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(LOOKUP_THREADS)
            .thread_name("awskms")
            .enable_all()
            .build()
            .map_err(|error| KeyFault::Other(format!("cannot start a thread: {error}")))?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// For tasks that go on between calls.
    pub(super) const fn handle(&self) -> &Handle {
        &self.1
    }

    /// Runs `future` to its end. A thread that belongs to a runtime may not block on another one, so
    /// a helper thread does it there.
    pub(super) fn run<F>(&self, future: F) -> Result<F::Output, KeyFault>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let Self(_, handle) = self;
        if Handle::try_current().is_err() {
            return Ok(handle.block_on(future));
        }
        thread::scope(|scope| {
            let helper = thread::Builder::new()
                .spawn_scoped(scope, || handle.block_on(future))
                .map_err(|error| KeyFault::Other(format!("cannot start a thread: {error}")))?;
            Ok(helper.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // Waiting for the thread would panic where a runtime's thread drops the key.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
