//! The gRPC service's sockets and threads, beside the signing plane.
//!
//! It runs on the background runtime, and its keys on threads of their own: nothing of it is ever waited
//! for by a validator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::start::NodeError;
use crate::config::{LoadedService, LoadedServiceKey};
use crate::ops::{KeyFaultStatus, ServiceCounts, ServiceKeyStatus, ServiceStatus};
use crate::service::{self, Callers, Directory, KeyStatus, Serving, Worker};

/// At the end, a call of a backend that is under way gets this long.
const FINISHING: Duration = Duration::from_millis(500);

/// The service, running.
pub(super) struct RunningService {
    shown: Service,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    /// Each ends with its key's thread.
    threads: Vec<(String, mpsc::Receiver<()>)>,
}

/// What `/status` shows of it.
#[derive(Clone)]
pub(super) struct Service {
    listen: SocketAddr,
    tls: bool,
    directory: Arc<Directory>,
}

impl RunningService {
    /// Starts each key's thread and the server, if there is a service.
    pub(super) fn start(
        loaded: Option<LoadedService>,
        door: Option<std::net::TcpListener>,
        runtime: &Handle,
    ) -> Result<Option<Self>, NodeError> {
        let (Some(loaded), Some(door)) = (loaded, door) else { return Ok(None) };
        let LoadedService { listen, identity, keys } = loaded;
        let (mut directory, mut threads) = (Directory::default(), Vec::new());
        for LoadedServiceKey { facts, opened, fault: _ } in keys {
            if identity.is_some() && facts.callers == Callers::Any {
                let key = facts.id.as_str();
                warn!(
                    key,
                    "callers = \"any\": whoever reaches the port may sign with this service key"
                );
            }
            let id = facts.id.clone();
            let worker = Worker::new(facts, opened, &mut directory);
            threads.push((id.clone(), spawn(&id, worker)?));
        }
        let directory = Arc::new(directory);
        let tls = identity.is_some();
        let shown = Service { listen, tls, directory: Arc::clone(&directory) };
        let listener = TcpListener::from_std(door).map_err(NodeError::System)?;
        let (stop, stopping) = oneshot::channel::<()>();
        let serving = service::serve(Serving { listener, identity, directory }, async {
            // A sender that is gone means stop, too.
            let _ = stopping.await;
        });
        let server = runtime.spawn(async move {
            if let Err(why) = serving.await {
                error!(%why, "the gRPC service has ended");
            }
        });
        info!(%listen, tls, keys = threads.len(), "the gRPC service signs with keys of no chain");
        Ok(Some(Self { shown, stop, server, threads }))
    }

    pub(super) fn shown(&self) -> Service {
        self.shown.clone()
    }

    /// Takes no new calls, answers those that there are, then closes the keys.
    pub(super) async fn finish(self, limit: Duration) {
        // The server may have ended by itself.
        let _ = self.stop.send(());
        let abort = self.server.abort_handle();
        if tokio::time::timeout(limit, self.server).await.is_err() {
            warn!("calls of the gRPC service did not end in time; not waiting for them");
            abort.abort();
        }
        self.shown.directory.close();
        let threads = self.threads;
        // Not here, where the validators' last answers are waited for, too.
        let ended = tokio::task::spawn_blocking(move || wait_for(threads));
        if ended.await.is_err() {
            error!("the service keys were not waited for");
        }
    }
}

fn wait_for(threads: Vec<(String, mpsc::Receiver<()>)>) {
    let deadline = Instant::now() + FINISHING;
    for (key, ended) in threads {
        let left = deadline.saturating_duration_since(Instant::now());
        if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            warn!(key, "the service key's backend has not answered; not waiting for it");
        }
    }
}

/// The receiver ends with the thread.
fn spawn(id: &str, worker: Worker) -> Result<mpsc::Receiver<()>, NodeError> {
    let (running, ended) = mpsc::channel();
    let name = format!("service-{id}").chars().take(15).collect();
    let spawned = std::thread::Builder::new().name(name).spawn(move || {
        worker.run();
        drop(running);
    });
    spawned.map_err(NodeError::System)?;
    Ok(ended)
}

impl Service {
    pub(super) fn status(&self) -> ServiceStatus {
        let keys = self.directory.statuses().into_iter().map(key_status).collect();
        ServiceStatus { listen: self.listen.to_string(), tls: self.tls, keys }
    }
}

fn key_status(key: KeyStatus) -> ServiceKeyStatus {
    let KeyStatus { facts, public_key, signed, failed, trouble } = key;
    ServiceKeyStatus {
        id: facts.id,
        backend: facts.backend.to_owned(),
        scheme: facts.algorithm.name().to_owned(),
        public_key: public_key.map(|key| STANDARD.encode(key.as_bytes())),
        counts: ServiceCounts { signed, failed },
        key_fault: trouble
            .map(|trouble| KeyFaultStatus { cause: trouble.cause.to_owned(), text: trouble.text }),
    }
}
