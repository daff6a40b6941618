//! The member's side where the key is whole: a grant in the place of a share (I7).
//!
//! The same critical section as for shares: check, rule, write, and only then the answer (I3). A grant
//! says that this member's rule has agreed to these bytes; what a complete set of them is good for
//! stands in `backend`.

use super::check::{self, Place};
use super::participant::{Participant, Watch};
use super::withheld::{Caller, Gives, Released, Withheld};
use crate::backend::content_hash;
use crate::peer::{AskGrant, Failure, Grant};
use crate::privval::{Extension, sign_bytes};
use crate::types::{MemberId, UnixMillis};
use crate::watermark::Record;

/// What follows from a request for a grant.
pub(super) struct Granting {
    /// The record to write; `None` if the watermark covers these fields already, or soon will.
    pub(super) write: Option<Record>,
    /// The answer, unless it waits for that write.
    pub(super) released: Option<Released>,
}

impl Participant {
    /// Rules on a request for a grant. `from` is the member whose link it came by: the grant names it,
    /// never what a message says.
    pub(super) fn grant(
        &mut self,
        caller: Caller,
        from: MemberId,
        ask: AskGrant,
        now: UnixMillis,
    ) -> Granting {
        let session = ask.session;
        let fail = |failure| {
            let released = Released::failure(caller, session, Vec::new(), failure);
            Granting { write: None, released: Some(released) }
        };
        let extension = self.extension_of(caller, ask.extension.as_ref());
        if let Err(why) = self.check_grant(from, &ask) {
            return fail(why);
        }
        let extension = match extension {
            Ok(extension) => extension,
            Err(why) => return fail(why),
        };
        let Some(watch) = self.chains.get_mut(&ask.chain) else {
            return fail(Failure::UnknownKey);
        };
        // Each granter looks for itself: nothing raw is granted that its own settings forbid.
        if watch.key.non_rp_allowed(extension.as_ref()).is_err() {
            return fail(Failure::RefusedExtension);
        }
        let write = match watch.rule(&ask.fields, extension.as_ref(), now) {
            Ok(write) => write,
            Err(denial) => {
                let released = Released::denial(caller, session, Vec::new(), denial);
                return Granting { write: None, released: Some(released) };
            }
        };
        let content = content_of(watch, &ask, extension.as_ref());
        let grant = Grant { coordinator: from, content, incarnation: self.incarnation };
        let fields = ask.fields;
        let withheld = Withheld { caller, session, fields, gives: Gives::Grant(grant) };
        Granting { write, released: watch.withhold(withheld) }
    }

    /// Everything about a request for a grant that is not the rule.
    fn check_grant(&self, from: MemberId, ask: &AskGrant) -> Result<(), Failure> {
        let watch = self.chains.get(&ask.chain).ok_or(Failure::UnknownKey)?;
        check::key(watch, ask.key, ask.setup)?;
        let extension_fits = ask.extension.is_none() || ask.fields.may_carry_extension();
        let both_asked = ask.asked.contains_key(&self.me) && ask.asked.contains_key(&from);
        if !watch.key.is_whole() || !extension_fits || !both_asked {
            return Err(Failure::Malformed);
        }
        let place = Place::of(self);
        for (&member, &incarnation) in &ask.asked {
            check::life(watch, &place, member, incarnation)?;
        }
        if watch.is_busy() { Err(Failure::Busy) } else { Ok(()) }
    }
}

/// The bytes are built here from the fields: what is granted is never taken from the coordinator.
fn content_of(watch: &Watch, ask: &AskGrant, extension: Option<&Extension>) -> [u8; 32] {
    let key = &watch.key;
    content_hash(&key.id, &sign_bytes(&key.chain, &ask.fields), extension)
}
