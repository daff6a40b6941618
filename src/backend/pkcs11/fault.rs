//! What a module says, as a [`KeyFault`].

use cryptoki::error::{Error, RvError};

use crate::backend::KeyFault;

/// Sorts an error of a module by what can be done about it. The text is the call and the name of
/// the return value in the PKCS#11 standard.
pub(super) fn fault(error: Error) -> KeyFault {
    let Error::Pkcs11(value, function) = &error else {
        return KeyFault::Other(error.to_string());
    };
    let text = format!("C_{function:?} gave {}", name(value));
    match value {
        RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::DeviceMemory
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::SessionClosed
        | RvError::SessionCount
        | RvError::SessionHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::UserNotLoggedIn
        | RvError::CryptokiNotInitialized
        | RvError::GeneralError
        | RvError::FunctionFailed => KeyFault::Unreachable(text),
        value if is_pin(value) => KeyFault::Pin(text),
        RvError::UserPinNotInitialized => {
            KeyFault::Pin(format!("{text}: the token has no user PIN yet, set one"))
        }
        RvError::KeyFunctionNotPermitted
        | RvError::KeyTypeInconsistent
        | RvError::KeySizeRange
        | RvError::CurveNotSupported
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::FunctionNotSupported => KeyFault::Unfit(format!(
            "{text}; needed are CKM_EDDSA for an Ed25519 key, CKM_ECDSA for a secp256k1 one"
        )),
        _ => KeyFault::Other(text),
    }
}

/// Whether a login failed for its PIN.
pub(super) const fn is_pin(value: &RvError) -> bool {
    matches!(
        value,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
    )
}

/// `PinIncorrect` is `CKR_PIN_INCORRECT`.
fn name(value: &RvError) -> String {
    let mut name = String::from("CKR");
    for c in format!("{value:?}").chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn of(value: RvError) -> KeyFault {
        fault(Error::Pkcs11(value, Function::Sign))
    }

    #[test]
    fn names_the_return_value_as_the_standard_does() {
        let text = of(RvError::DeviceRemoved).to_string();
        assert_eq!(text, "cannot be reached: C_Sign gave CKR_DEVICE_REMOVED");
    }

    #[test]
    fn sorts_by_what_can_be_done_about_it() {
        for (value, word, may_pass) in [
            (RvError::TokenNotPresent, "unreachable", true),
            (RvError::SessionHandleInvalid, "unreachable", true),
            (RvError::ObjectHandleInvalid, "unreachable", true),
            (RvError::PinIncorrect, "pin", true),
            (RvError::UserPinNotInitialized, "pin", true),
            (RvError::KeyFunctionNotPermitted, "unfit", false),
            (RvError::MechanismInvalid, "unfit", false),
            (RvError::ArgumentsBad, "failed", true),
        ] {
            let fault = of(value);
            assert_eq!((fault.word(), fault.may_pass()), (word, may_pass), "{value:?}");
        }
    }
}
