//! Vote extensions and their signatures, in both directions. Bytes are shared, never copied.

use super::fields::{decode_signature, encode_signature};
use super::{WireError, array, at_most, pb};
use crate::peer::message::Carried;
use crate::privval::{Extension, ExtensionSignature, MAX_EXTENSION_BYTES};

use pb::carried::Form;

pub(super) fn encode_extension(extension: Extension) -> Result<pb::Extension, WireError> {
    let bytes = extension.bytes().clone();
    let extension = pb::Extension { bytes, non_rp: extension.non_rp().cloned() };
    check(&extension)?;
    Ok(extension)
}

pub(super) fn decode_extension(extension: pb::Extension) -> Result<Extension, WireError> {
    check(&extension)?;
    let pb::Extension { bytes, non_rp } = extension;
    let extension = Extension::new(bytes);
    Ok(match non_rp {
        Some(non_rp) => extension.with_non_rp(non_rp),
        None => extension,
    })
}

fn check(extension: &pb::Extension) -> Result<(), WireError> {
    at_most("extension", MAX_EXTENSION_BYTES, extension.bytes.len())?;
    let non_rp = extension.non_rp.as_ref().map_or(0, |bytes| bytes.len());
    at_most("non-rp extension", MAX_EXTENSION_BYTES, non_rp)
}

pub(super) fn encode_carried(carried: Carried) -> Result<pb::Carried, WireError> {
    let form = match carried {
        Carried::Whole(extension) => Form::Whole(encode_extension(extension)?),
        Carried::Named(digest) => Form::Named(digest.to_vec()),
    };
    Ok(pb::Carried { form: Some(form) })
}

pub(super) fn decode_carried(carried: pb::Carried) -> Result<Carried, WireError> {
    match carried.form.ok_or(WireError::Missing("form of an extension"))? {
        Form::Whole(extension) => Ok(Carried::Whole(decode_extension(extension)?)),
        Form::Named(digest) => Ok(Carried::Named(array("name of an extension", &digest)?)),
    }
}

type Pair = (Option<pb::Signature>, Option<pb::Signature>);

pub(super) fn encode_extension_signature(
    signature: Option<&ExtensionSignature>,
) -> Result<Pair, WireError> {
    let Some(ExtensionSignature { replay_protected, non_rp }) = signature else {
        return Ok((None, None));
    };
    let non_rp = non_rp.as_ref().map(encode_signature).transpose()?;
    Ok((Some(encode_signature(replay_protected)?), non_rp))
}

pub(super) fn decode_extension_signature(
    replay_protected: Option<pb::Signature>,
    non_rp: Option<pb::Signature>,
) -> Result<Option<ExtensionSignature>, WireError> {
    let non_rp = non_rp.map(decode_signature).transpose()?;
    match replay_protected.map(decode_signature).transpose()? {
        Some(replay_protected) => Ok(Some(ExtensionSignature { replay_protected, non_rp })),
        None if non_rp.is_some() => Err(WireError::Missing("extension signature")),
        None => Ok(None),
    }
}
