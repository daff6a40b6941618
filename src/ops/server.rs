//! `/livez`, `/readyz`, `/healthz`, `/status` and `/metrics` over HTTP.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::{self, Sample};
use super::status::Status;

/// A signing plane that does not answer within this is not alive.
const ALIVE: Duration = Duration::from_secs(2);

/// Where the status comes from.
pub trait Source: Clone + Send + Sync + 'static {
    /// The status now; `None` if the signing plane is gone.
    fn status(&self) -> impl Future<Output = Option<Status>> + Send;

    /// What a scrape shows now; `None` if the signing plane is gone.
    fn sample(&self) -> impl Future<Output = Option<Sample>> + Send;
}

/// Serves until the shutdown resolves.
///
/// # Errors
/// If the listener fails.
pub async fn serve<S: Source>(
    listener: TcpListener,
    source: S,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(livez::<S>))
        .route("/readyz", get(readyz::<S>))
        .route("/healthz", get(|| async { "ok" }))
        .route("/status", get(status::<S>))
        .route("/metrics", get(metrics::<S>))
        .with_state(source);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn ask<S: Source>(source: &S) -> Option<Status> {
    tokio::time::timeout(ALIVE, source.status()).await.ok().flatten()
}

async fn livez<S: Source>(State(source): State<S>) -> Response {
    match ask(&source).await {
        Some(_) => "ok\n".into_response(),
        None => unavailable(),
    }
}

async fn readyz<S: Source>(State(source): State<S>) -> Response {
    match ask(&source).await {
        Some(status) if status.ready => "ready\n".into_response(),
        Some(status) => (StatusCode::SERVICE_UNAVAILABLE, status.why_not_ready()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "not_alive\n").into_response(),
    }
}

async fn status<S: Source>(State(source): State<S>) -> Response {
    match ask(&source).await {
        Some(status) => axum::Json(status).into_response(),
        None => unavailable(),
    }
}

async fn metrics<S: Source>(State(source): State<S>) -> Response {
    let sample = tokio::time::timeout(ALIVE, source.sample()).await.ok().flatten();
    match sample.and_then(|sample| metrics::render(sample).ok()) {
        Some(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        None => unavailable(),
    }
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the signing plane does not answer\n").into_response()
}
