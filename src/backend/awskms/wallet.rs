//! Credentials, looked for ahead of time.
//!
//! The SDK would look for them within an attempt of a signature, whose deadline a sign-on or a
//! credential process never meets. Here a task holds them and renews them before they end; an attempt
//! takes what is there.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_kms::config::SharedHttpClient;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::fault::{causes, one_line};
use crate::backend::{AwsKmsSource, KeyFault};

/// Longest search for credentials.
const SEARCH: Duration = Duration::from_secs(10);

/// Credentials are renewed this long before they end, or at half of what is left to them.
const AHEAD: Duration = Duration::from_secs(300);

/// Between two searches, whoever asks.
const APART: Duration = Duration::from_secs(1);

/// Where credentials were looked for, and what to do.
const NONE_FOUND: &str = "none were found in the environment, profile, container or instance role: \
     set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `profile`, or give the machine a role";

/// One search: what the environment says now, files read anew.
pub(super) type Load = Arc<dyn Fn() -> BoxFuture<'static, Result<Loaded, String>> + Send + Sync>;

/// What a search found.
pub(super) struct Loaded {
    /// Region, and what else the environment says about clients.
    pub(super) config: SdkConfig,
    /// The credentials.
    pub(super) credentials: Credentials,
}

#[derive(Clone)]
enum State {
    Searching,
    Found(Arc<Loaded>),
    Failed(String),
}

/// Holds the credentials of one key.
#[derive(Clone)]
pub(super) struct Wallet {
    state: watch::Receiver<(u64, State)>,
    renew: Arc<Notify>,
}

/// As the AWS tools look: environment, default profile (keys, sign-on, process, roles), web identity,
/// container, instance. A profile that `cosigner.toml` names is the only place: another identity in its
/// stead would be a surprise.
pub(super) fn default_chain(source: &AwsKmsSource, http: &SharedHttpClient) -> Load {
    let (region, profile) = (source.region.clone(), source.profile.clone());
    let http = http.clone();
    Arc::new(move || Box::pin(search(region.clone(), profile.clone(), http.clone())))
}

async fn search(
    region: Option<String>,
    profile: Option<String>,
    http: SharedHttpClient,
) -> Result<Loaded, String> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(profile) = &profile {
        loader = loader.profile_name(profile);
    }
    let config = loader.load().await;
    let found = if let Some(profile) = &profile {
        let region = config.region().cloned();
        let provider = ProviderConfig::default().with_http_client(http).with_region(region);
        let named = ProfileFileCredentialsProvider::builder().profile_name(profile);
        named.configure(&provider).build().provide_credentials().await
    } else {
        let chain = config.credentials_provider().ok_or_else(|| NONE_FOUND.to_owned())?;
        chain.provide_credentials().await
    };
    let credentials = found.map_err(|error| explain(&error, profile.as_deref()))?;
    Ok(Loaded { config, credentials })
}

/// Says why credentials were not found. What a credential process printed is left out: it may hold
/// anything.
fn explain(error: &CredentialsError, profile: Option<&str>) -> String {
    if profile.is_none() && matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        return NONE_FOUND.to_owned();
    }
    let text = causes(error);
    let text = one_line(text.split("Stderr:").next().unwrap_or_default());
    match profile {
        Some(profile) => format!("profile {profile:?} gives none: {text}"),
        None => text,
    }
}

impl Wallet {
    /// Begins to search, on the key's own runtime.
    pub(super) fn new(load: Load, runtime: &Handle) -> Self {
        let (found, state) = watch::channel((0, State::Searching));
        let renew = Arc::new(Notify::new());
        runtime.spawn(keep(load, found, Arc::clone(&renew)));
        Self { state, renew }
    }

    /// The credentials; waits for the first search at most `limit`.
    pub(super) async fn ready(&self, limit: Duration) -> Result<Arc<Loaded>, KeyFault> {
        let mut state = self.state.clone();
        let searched = state.wait_for(|(_, state)| !matches!(state, State::Searching));
        let state = match timeout(limit, searched).await {
            Ok(Ok(state)) => state.1.clone(),
            Ok(Err(_)) | Err(_) => State::Searching,
        };
        match state {
            State::Found(loaded) => Ok(loaded),
            State::Failed(text) => Err(KeyFault::Credentials(text)),
            State::Searching => {
                Err(KeyFault::Credentials("they are still being looked for".to_owned()))
            }
        }
    }

    /// Goes up with each change of the credentials.
    pub(super) fn number(&self) -> u64 {
        self.state.borrow().0
    }

    /// Searches again soon: these were refused.
    pub(super) fn renew(&self) {
        self.renew.notify_one();
    }

    /// Takes secrets out of a text that came from outside.
    pub(super) fn redact(&self, text: &str) -> String {
        let State::Found(loaded) = self.state.borrow().1.clone() else { return text.to_owned() };
        let token = loaded.credentials.session_token();
        let secrets = token.into_iter().chain([loaded.credentials.secret_access_key()]);
        secrets
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

/// Searches, renews, and ends with the key.
async fn keep(load: Load, found: watch::Sender<(u64, State)>, renew: Arc<Notify>) {
    loop {
        let late = || Err(format!("the search for them took more than {} s", SEARCH.as_secs()));
        let next = match timeout(SEARCH, load()).await.unwrap_or_else(|_| late()) {
            Ok(loaded) => {
                let next = loaded.credentials.expiry().map(renewal);
                found.send_modify(|(number, state)| {
                    let same =
                        matches!(state, State::Found(old) if old.credentials == loaded.credentials);
                    *number += u64::from(!same);
                    *state = State::Found(Arc::new(loaded));
                });
                next
            }
            Err(text) => {
                // Credentials that have not ended are better than none.
                found.send_if_modified(|(_, state)| {
                    let kept = matches!(state, State::Found(loaded) if !has_ended(loaded));
                    if !kept {
                        *state = State::Failed(text);
                    }
                    !kept
                });
                Some(APART)
            }
        };
        let due = async {
            match next {
                Some(after) => sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = renew.notified() => sleep(APART).await,
            () = found.closed() => return,
        }
    }
}

fn left(end: SystemTime) -> Duration {
    end.duration_since(SystemTime::now()).unwrap_or_default()
}

/// When to renew credentials that end at `end`, from now.
fn renewal(end: SystemTime) -> Duration {
    let left = left(end);
    left.saturating_sub(AHEAD).max(left / 2).max(APART)
}

fn has_ended(loaded: &Loaded) -> bool {
    loaded.credentials.expiry().is_some_and(|end| left(end).is_zero())
}

impl ProvideCredentials for Wallet {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(match &self.state.borrow().1 {
            State::Found(loaded) => Ok(loaded.credentials.clone()),
            State::Searching | State::Failed(_) => Err(CredentialsError::not_loaded_no_source()),
        })
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wallet(…)")
    }
}
