//! Values inside TOML that are more than strings: they are checked where they stand, so that the
//! parser's error carries their line.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use zeroize::Zeroizing;

use crate::types::{Algorithm, ChainId, MemberId, PublicKey, PublicKeyError};

/// A string that parses as `T`.
#[derive(Clone, Debug)]
pub(super) struct Parsed<T>(pub(super) T);

/// 32 bytes in base64: a public share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes32(pub(super) [u8; 32]);

/// Why this is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 bytes in base64, found {}", match .0 {
    Some(bytes) => format!("{bytes} bytes"),
    None => "something else".to_owned(),
})]
pub(super) struct Bytes32Error(Option<usize>);

impl FromStr for Bytes32 {
    type Err = Bytes32Error;

    fn from_str(text: &str) -> Result<Self, Bytes32Error> {
        // Not shown: it could be a private key that was put into the wrong place.
        let bytes = BASE64.decode(text).map(Zeroizing::new).map_err(|_| Bytes32Error(None))?;
        let key = bytes.as_slice().try_into().map_err(|_| Bytes32Error(Some(bytes.len())))?;
        Ok(Self(key))
    }
}

/// A public key in base64, of an algorithm that stands elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKeyText(Zeroizing<Vec<u8>>);

/// Why this is no public key. Not shown: it could be a private key that was put into the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a public key in base64, found something else")]
pub struct PublicKeyTextError;

impl FromStr for PublicKeyText {
    type Err = PublicKeyTextError;

    fn from_str(text: &str) -> Result<Self, PublicKeyTextError> {
        let bytes = BASE64.decode(text).map(Zeroizing::new).map_err(|_| PublicKeyTextError)?;
        Ok(Self(bytes))
    }
}

impl PublicKeyText {
    /// The key, if it is one of this algorithm.
    ///
    /// # Errors
    /// [`PublicKeyError`].
    pub fn of(&self, algorithm: Algorithm) -> Result<PublicKey, PublicKeyError> {
        PublicKey::from_encoding(algorithm, &self.0)
    }
}

impl fmt::Debug for PublicKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKeyText({} bytes)", self.0.len())
    }
}

/// A chain id.
#[derive(Clone, Debug)]
pub(super) struct Chain(pub(super) ChainId);

/// A number from the one to the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<const LEAST: u64, const MOST: u64>(pub(super) u64);

/// A member id: a number, or a table's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(pub(super) MemberId);

impl<'de, T> Deserialize<'de> for Parsed<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T> Visitor<'_> for Text<T>
        where
            T: FromStr,
            T::Err: fmt::Display,
        {
            type Value = Parsed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Parsed<T>, E> {
                text.parse().map(Parsed).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Parsed<T>, E> {
                Err(unquoted::<T, E>(&number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Parsed<T>, E> {
                Err(unquoted::<T, E>(&number.to_string()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Parsed<T>, E> {
                Err(unquoted::<T, E>(&value.to_string()))
            }
        }
        deserializer.deserialize_any(Text(PhantomData))
    }
}

/// A string that stands there without quotes, or something else: `T` says what it takes.
fn unquoted<T: FromStr<Err: fmt::Display>, E: Error>(found: &str) -> E {
    match found.parse::<T>() {
        Ok(_) => E::custom(format_args!("a string is expected here: write {found:?}, in quotes")),
        Err(why) => E::custom(format_args!("a string in quotes is expected here: {why}")),
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Within<const LEAST: u64, const MOST: u64>;
        impl<const LEAST: u64, const MOST: u64> Visitor<'_> for Within<LEAST, MOST> {
            type Value = Number<LEAST, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // TOML knows no larger one, so the limit would tell nothing.
                if MOST == i64::MAX.unsigned_abs() {
                    return write!(f, "a number, {LEAST} or more");
                }
                write!(f, "a number from {LEAST} to {MOST}")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<LEAST, MOST>, E> {
                match u64::try_from(number) {
                    Ok(within) if (LEAST..=MOST).contains(&within) => Ok(Number(within)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Within::<LEAST, MOST>)
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ChainId::new(text).map(Chain).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member id, 1 to 15")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                MemberId::new(number).map(Id).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Id, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                match text.parse() {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}
