//! `cosigner.toml`, `cluster.toml` and the home that they stand in.
//!
//! Text becomes checked values here and nowhere else. An error names the file, the line, what is
//! wrong there and what to do; an unknown key is an error, because a misspelt safety setting that is
//! silently ignored is worse than a node that does not start.

mod address;
mod cluster_file;
mod duration;
mod error;
mod home;
mod in_force;
mod incarnation;
mod key_source;
mod load;
mod log;
mod new_home;
mod noise_identity;
mod read;
mod settings;
mod text;

pub use address::{AddressError, HostPort};
pub use cluster_file::{parse_cluster, read_cluster, render_cluster};
pub use duration::{DurationError, GiveUp};
pub use error::ConfigError;
pub use home::{Home, HomeError, HomeLock};
pub use in_force::{InForce, in_force};
pub use incarnation::{
    IncarnationError, Lives, check_owner, put_incarnation, put_owner, put_recorded, read_lives,
};
pub use key_source::{
    BadField, EndpointError, KeyFields, KeySource, KeySourceError, Spelling, with_paths,
};
pub use load::{
    LoadError, Loaded, LoadedChain, LoadedKey, LoadedService, LoadedServiceKey, Membership,
    TakenState, consensus_keys, load, take_state,
};
pub use log::{LogError, LogFormat, LogLevel};
pub use new_home::{NewChain, NewHome, NewNode};
pub use noise_identity::{NoiseIdentityError, create_noise_identity, read_noise_identity};
pub use read::{PublicKeyText, PublicKeyTextError};
pub use settings::{
    Bech32Prefix, Bech32PrefixError, ChainSettings, LogSettings, NodeSettings, OpsListen,
    Overrides, ServiceError, ServiceKeySettings, ServiceSettings, Settings, TlsFiles,
    ValidatorSettings,
};
pub use text::nearest;
