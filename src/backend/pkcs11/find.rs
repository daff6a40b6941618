//! Finding a token by its label, and a key in it. What is not unique is refused.

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::fault;
use super::point;
use crate::backend::{KeyFault, Pkcs11Source, Token};
use crate::types::{Algorithm, PublicKey};

/// A private key's attributes, as far as they matter here. What a token does not tell is absent.
#[derive(Default)]
struct Described {
    label: String,
    id: Vec<u8>,
    key_type: Option<KeyType>,
    signs: Option<bool>,
    always_authenticates: bool,
    parameters: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
}

/// The slot that the token is in, and the token's serial number.
pub(super) fn token(context: &Pkcs11, token: &Token) -> Result<(Slot, String), KeyFault> {
    let label = match token {
        Token::Slot(number) => {
            let slot = Slot::try_from(*number).map_err(fault)?;
            let info = context.get_token_info(slot).map_err(fault)?;
            return Ok((slot, info.serial_number().to_owned()));
        }
        Token::Label(label) => label,
    };
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for slot in context.get_slots_with_token().map_err(fault)? {
        match context.get_token_info(slot) {
            Ok(info) if info.label() == label => {
                found.push((slot, info.serial_number().to_owned()));
            }
            Ok(info) if info.token_initialized() => others.push(format!("{:?}", info.label())),
            Ok(_) => {}
            // A token that was taken out while the module has its slot.
            Err(error) => others.push(format!("slot {slot}: {}", fault(error))),
        }
    }
    let serials: Vec<&str> = found.iter().map(|(_, serial)| serial.as_str()).collect();
    match found.as_slice() {
        [(slot, serial)] => Ok((*slot, serial.clone())),
        [] if others.is_empty() => {
            Err(KeyFault::NotFound(format!("no token with label {label:?}, and no other one")))
        }
        [] => Err(KeyFault::NotFound(format!(
            "no token with label {label:?}; there are: {}",
            others.join(", ")
        ))),
        _ => Err(KeyFault::NotFound(format!(
            "{} tokens have the label {label:?} (serial numbers {}); name one by its slot instead",
            found.len(),
            serials.join(", ")
        ))),
    }
}

/// The private key and its public key.
pub(super) fn key(
    session: &Session,
    source: &Pkcs11Source,
) -> Result<(ObjectHandle, PublicKey), KeyFault> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    if let Some(label) = &source.key_label {
        template.push(Attribute::Label(label.as_bytes().to_vec()));
    }
    if let Some(id) = &source.key_id {
        template.push(Attribute::Id(id.clone()));
    }
    let algorithm = source.algorithm;
    let mut keys = Vec::new();
    for object in session.find_objects(&template).map_err(fault)? {
        keys.push((object, Described::read(session, object)?));
    }
    let (of_type, others): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|(_, key)| key.is_of(algorithm));
    let [(object, key)] = of_type.as_slice() else {
        return Err(no_such_key(source, &of_type, &others));
    };
    if key.signs == Some(false) {
        return Err(KeyFault::Unfit(format!("{key} has CKA_SIGN false: it may not sign")));
    }
    if key.always_authenticates {
        return Err(KeyFault::Unfit(format!(
            "{key} has CKA_ALWAYS_AUTHENTICATE: it wants its PIN for every signature"
        )));
    }
    Ok((*object, public_key(session, key, algorithm)?))
}

/// From the public key object beside it, else from the private key itself.
fn public_key(
    session: &Session,
    key: &Described,
    algorithm: Algorithm,
) -> Result<PublicKey, KeyFault> {
    let of_type = key.key_type.map(Attribute::KeyType);
    let mut template = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
    template.extend(of_type);
    if key.id.is_empty() {
        template.push(Attribute::Label(key.label.as_bytes().to_vec()));
    } else {
        template.push(Attribute::Id(key.id.clone()));
    }
    let mut points = Vec::new();
    for object in session.find_objects(&template).map_err(fault)? {
        points.extend(Described::read(session, object)?.point);
    }
    if points.is_empty() {
        points.extend(key.point.clone());
    }
    points.sort();
    points.dedup();
    match points.as_slice() {
        [point] => point::public_key(algorithm, point).ok_or_else(|| {
            KeyFault::Unfit(format!(
                "{key} has a CKA_EC_POINT of {} bytes: not an {algorithm} key",
                point.len()
            ))
        }),
        [] => Err(KeyFault::NotFound(format!(
            "{key} has no public key object with its CKA_ID and no CKA_EC_POINT of its own: \
             write its public key into the token"
        ))),
        several => Err(KeyFault::NotFound(format!(
            "{key} has {} different public keys with its CKA_ID: remove those that are not its own",
            several.len()
        ))),
    }
}

fn no_such_key(
    source: &Pkcs11Source,
    of_type: &[(ObjectHandle, Described)],
    others: &[(ObjectHandle, Described)],
) -> KeyFault {
    let list = |keys: &[(ObjectHandle, Described)]| -> String {
        keys.iter().map(|(_, key)| key.to_string()).collect::<Vec<_>>().join(", ")
    };
    let label = source.key_label.iter().map(|label| format!("label {label:?}"));
    let id = source.key_id.iter().map(|id| format!("id {}", hex::encode(id)));
    let wanted = label.chain(id).collect::<Vec<_>>().join(" and ");
    match (of_type, others) {
        ([], []) => KeyFault::NotFound(format!("the token has no private key with {wanted}")),
        ([], others) => {
            let kinds = others.iter().map(|(_, key)| format!("{key} is {}", key.kind()));
            KeyFault::Unfit(format!(
                "{}, but algorithm = \"{}\" is set, which takes {}: set the key's algorithm, or name \
                 another key",
                kinds.collect::<Vec<_>>().join(", "),
                source.algorithm,
                kind_of(source.algorithm),
            ))
        }
        (several, _) => KeyFault::NotFound(format!(
            "{} private keys have {wanted}: {}; give key_label and key_id so that one is left",
            several.len(),
            list(several)
        )),
    }
}

/// What a token calls keys of this algorithm.
const fn kind_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "an Ed25519 key (CKK_EC_EDWARDS)",
        Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => "a secp256k1 key (CKK_EC)",
        Algorithm::MlDsa65 => "an ML-DSA key (CKK_ML_DSA)",
    }
}

impl Described {
    fn is_of(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Ed25519 => self.key_type == Some(KeyType::EC_EDWARDS),
            Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => {
                let parameters = self.parameters.as_deref().unwrap_or_default();
                self.key_type == Some(KeyType::EC) && point::is_secp256k1(parameters)
            }
            // Refused where settings are read.
            Algorithm::MlDsa65 => false,
        }
    }

    /// What it is, in the words of [`kind_of`] where that is known.
    fn kind(&self) -> String {
        let known = [Algorithm::Ed25519, Algorithm::Secp256k1];
        match (known.into_iter().find(|known| self.is_of(*known)), self.key_type) {
            (Some(known), _) => kind_of(known).to_owned(),
            (None, Some(other)) => format!("a key of another kind ({other})"),
            (None, None) => "a key of a kind that the token does not tell".to_owned(),
        }
    }

    fn read(session: &Session, object: ObjectHandle) -> Result<Self, KeyFault> {
        const WANTED: [AttributeType; 7] = [
            AttributeType::Label,
            AttributeType::Id,
            AttributeType::KeyType,
            AttributeType::Sign,
            AttributeType::AlwaysAuthenticate,
            AttributeType::EcParams,
            AttributeType::EcPoint,
        ];
        let mut key = Self::default();
        for attribute in session.get_attributes(object, &WANTED).map_err(fault)? {
            match attribute {
                Attribute::Label(label) => key.label = String::from_utf8_lossy(&label).into_owned(),
                Attribute::Id(id) => key.id = id,
                Attribute::KeyType(key_type) => key.key_type = Some(key_type),
                Attribute::Sign(signs) => key.signs = Some(signs),
                Attribute::AlwaysAuthenticate(always) => key.always_authenticates = always,
                Attribute::EcParams(parameters) => key.parameters = Some(parameters),
                Attribute::EcPoint(point) if !point.is_empty() => key.point = Some(point),
                _ => {}
            }
        }
        Ok(key)
    }
}

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key {:?} (id {})", self.label, hex::encode(&self.id))
    }
}
