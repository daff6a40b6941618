//! Finding a token by its label, and a key in it. What is not unique is refused.

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::fault;
use super::point;
use crate::backend::{KeyFault, Pkcs11Source, Token};
use crate::types::PublicKey;

/// A private key's attributes, as far as they matter here. What a token does not tell is absent.
#[derive(Default)]
struct Described {
    label: String,
    id: Vec<u8>,
    key_type: Option<KeyType>,
    signs: Option<bool>,
    always_authenticates: bool,
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
    let mut keys = Vec::new();
    for object in session.find_objects(&template).map_err(fault)? {
        keys.push((object, Described::read(session, object)?));
    }
    let (of_type, others): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|(_, key)| key.key_type == Some(KeyType::EC_EDWARDS));
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
    Ok((*object, public_key(session, key)?))
}

/// From the public key object beside it, else from the private key itself.
fn public_key(session: &Session, key: &Described) -> Result<PublicKey, KeyFault> {
    let mut template =
        vec![Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::EC_EDWARDS)];
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
        [point] => point::public_key(point).ok_or_else(|| {
            KeyFault::Unfit(format!(
                "{key} has a CKA_EC_POINT of {} bytes: not an Ed25519 key",
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
        ([], others) => KeyFault::Unfit(format!(
            "{} is no Ed25519 key (its CKA_KEY_TYPE is not CKK_EC_EDWARDS)",
            list(others)
        )),
        (several, _) => KeyFault::NotFound(format!(
            "{} private keys have {wanted}: {}; give key_label and key_id so that one is left",
            several.len(),
            list(several)
        )),
    }
}

impl Described {
    fn read(session: &Session, object: ObjectHandle) -> Result<Self, KeyFault> {
        const WANTED: [AttributeType; 6] = [
            AttributeType::Label,
            AttributeType::Id,
            AttributeType::KeyType,
            AttributeType::Sign,
            AttributeType::AlwaysAuthenticate,
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
