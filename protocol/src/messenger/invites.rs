//! Invites: making a ticket, publishing its record, letting its holder in (SPEC §7, §8.5).

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::publishing::{Place, Root};
use super::rows::{self, InviteRow, PrekeyRow};
use super::{Messenger, Step};
use crate::blind::InviteSigner;
use crate::control::{
    AcceptRequests, ControlError, Done, ErrorName, InviteEntry, InviteParams, InviteReply, InvitesReply,
    Reply, RevokeParams,
};
use crate::id::InviteToken;
use crate::keys::PrekeyPair;
use crate::limits::{GRACE_MS, INVITE_MS, INVITE_USES_MAX, INVITES_MAX, LIFE_MS_MAX, PREKEY_GRACE_MS};
use crate::store::StoreError;
use crate::time::{DAY_MS, Day, MINUTE_MS, Time};
use crate::wire::bundle::{Bundle, BundleIn, BundleTimes};
use crate::wire::record::Slot;
use crate::wire::ticket::{Hint, TICKET_HINTS_MAX, Ticket};

/// What an invite record says to the holder of its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum InviteContent {
    /// Come in.
    Open { manifest: Vec<u8>, bundle: Vec<u8>, expires: Time },
    /// Used up or revoked.
    Ended,
}

impl Messenger {
    pub(crate) fn create_invite(
        &mut self,
        step: &mut Step<'_>,
        params: &InviteParams,
    ) -> Result<Result<InviteReply, ControlError>, StoreError> {
        if self.config.accept_requests == AcceptRequests::Nobody {
            return Ok(Err(ErrorName::Closed.into()));
        }
        let uses = params.uses.unwrap_or(1);
        let life = params.expires_ms.unwrap_or(INVITE_MS);
        if uses == 0 || uses > INVITE_USES_MAX {
            let range = format!("uses is from 1 to {INVITE_USES_MAX}");
            return Ok(Err(ControlError::with(ErrorName::OutOfRange, range)));
        }
        if !(MINUTE_MS..=LIFE_MS_MAX).contains(&life) {
            return Ok(Err(ControlError::with(ErrorName::OutOfRange, "expires is from 1m to 30d")));
        }
        if rows::scan::<InviteRow>(step.store)?.len() >= INVITES_MAX {
            return Ok(Err(ControlError::with(ErrorName::TooMany, "invites")));
        }
        let mut token = [0; 16];
        step.rng.fill_bytes(&mut token);
        let token = InviteToken(token);
        let expires = step.now.plus(life);
        let bundle = self.make_bundle(step, expires, true)?;
        let row = InviteRow { token, expires, uses_left: uses, hint: bundle.hint() };
        rows::save(step.store, &row)?;
        self.publish_invite(step, &row, &bundle)?;
        let hints = if params.no_address { Vec::new() } else { self.ticket_hints() };
        let ticket = Ticket { account: self.me.id(), token: Some(token), hints };
        Ok(Ok(InviteReply {
            id: invite_id(&token),
            ticket: ticket.to_string(),
            expires: expires.into(),
            uses,
        }))
    }

    /// Invites that still let somebody in, the next to end first.
    pub(crate) fn list_invites(
        &mut self,
        step: &mut Step<'_>,
    ) -> Result<Result<InvitesReply, ControlError>, StoreError> {
        let mut rows = rows::scan::<InviteRow>(step.store)?;
        rows.retain(|row| row.uses_left > 0 && row.expires > step.now);
        rows.sort_unstable_by_key(|row| (row.expires, row.token));
        let shown = |row: &InviteRow| InviteEntry {
            id: invite_id(&row.token),
            expires: row.expires.into(),
            uses: row.uses_left,
        };
        Ok(Ok(InvitesReply { invites: rows.iter().map(shown).collect() }))
    }

    /// Ends an invite: its record says so, and what was sent by its ticket does not open any more.
    pub(crate) fn revoke_invite(
        &mut self,
        step: &mut Step<'_>,
        params: &RevokeParams,
    ) -> Result<Result<Reply, ControlError>, StoreError> {
        let rows = rows::scan::<InviteRow>(step.store)?;
        let open = |row: &InviteRow| row.uses_left > 0 && row.expires > step.now;
        let Some(mut row) = rows.into_iter().find(|row| open(row) && invite_id(&row.token) == params.id)
        else {
            return Ok(Err(ControlError::with(ErrorName::NoSuchInvite, params.id.clone())));
        };
        self.end_invite(step, &mut row)?;
        Ok(Ok(Reply::Done(Done { state: "revoked".to_owned() })))
    }

    /// Deletes the private prekeys of an invite and replaces its record by one that says that it has ended.
    fn end_invite(&mut self, step: &mut Step<'_>, row: &mut InviteRow) -> Result<(), StoreError> {
        row.uses_left = 0;
        rows::save(step.store, row)?;
        rows::remove::<PrekeyRow>(step.store, &row.hint)?;
        self.put_invite(step, row, &InviteContent::Ended)
    }

    /// Makes a prekey pair and its bundle, and writes the private half.
    pub(crate) fn make_bundle(
        &mut self,
        step: &mut Step<'_>,
        not_after: Time,
        invite: bool,
    ) -> Result<Bundle, StoreError> {
        let pair = PrekeyPair::generate(step.rng);
        // Contacts refuse one that is much older than the newest they have seen: never lower than before,
        // whatever the clock did.
        let rows = rows::scan::<PrekeyRow>(step.store)?;
        let before = rows.iter().filter_map(|row| BundleIn::parse(&row.bundle).ok()).map(|b| b.seq()).max();
        let seq = before.map_or(0, |seq| seq.saturating_add(1)).max(step.now.0);
        let times = BundleTimes { seq, not_before: step.now, not_after };
        let bundle = Bundle::sign(&self.me.device, self.me.id(), &pair, times);
        let row = PrekeyRow {
            hint: bundle.hint(),
            bundle_id: bundle.id(),
            bundle: bundle.as_bytes().to_vec(),
            pair: pair.to_record().to_vec(),
            made_at: step.now,
            keep_until: not_after.plus(PREKEY_GRACE_MS),
            invite,
            begun: Vec::new(),
        };
        rows::save(step.store, &row)?;
        Ok(bundle)
    }

    fn publish_invite(
        &mut self,
        step: &mut Step<'_>,
        row: &InviteRow,
        bundle: &Bundle,
    ) -> Result<(), StoreError> {
        let content = InviteContent::Open {
            manifest: self.me.manifest.as_bytes().to_vec(),
            bundle: bundle.as_bytes().to_vec(),
            expires: row.expires,
        };
        self.put_invite(step, row, &content)
    }

    fn put_invite(
        &mut self,
        step: &mut Step<'_>,
        row: &InviteRow,
        content: &InviteContent,
    ) -> Result<(), StoreError> {
        let signer = InviteSigner::new(&self.me.id(), &row.token);
        let place = Place { slot: Slot::Invite, day: Day(0), expires: row.expires.plus(GRACE_MS) };
        let bytes = crate::wire::codec::encode(content);
        self.put_record(step, &signer, place, &Root::Token(row.token), &bytes)
    }

    /// Uses an invite once. The last use replaces its record by one that says so, and deletes the private
    /// prekeys: the session that it let in has all it needs.
    pub(crate) fn use_invite(
        &mut self,
        step: &mut Step<'_>,
        token: &InviteToken,
    ) -> Result<bool, StoreError> {
        let Some(mut row) = rows::load::<InviteRow>(step.store, &token.0)? else { return Ok(false) };
        // Until the invite's last day + 1: the first message may have waited in a mailbox.
        if step.now > row.expires.plus(GRACE_MS + DAY_MS) || row.uses_left == 0 {
            return Ok(false);
        }
        if row.uses_left == 1 {
            self.end_invite(step, &mut row)?;
        } else {
            row.uses_left -= 1;
            rows::save(step.store, &row)?;
        }
        Ok(true)
    }

    /// Up to three ways in: one's own address unless three others are known.
    fn ticket_hints(&self) -> Vec<Hint> {
        let own = self.me.addresses.iter().filter_map(|address| parse_hint(address));
        let others: Vec<Hint> =
            self.me.other_addresses.iter().filter_map(|address| parse_hint(address)).collect();
        let mut hints: Vec<Hint> = Vec::new();
        for hint in own.take(1).chain(others) {
            if hints.len() < TICKET_HINTS_MAX && !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        hints
    }
}

fn invite_id(token: &InviteToken) -> String {
    crate::id::sha256(&[b"murmesh/1 invite-id", &token.0])
        .iter()
        .take(4)
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// A hint from a multiaddr of the kinds a ticket can name; without `/p2p`: PeerIds are learnt on
/// dialing.
pub(crate) fn parse_hint(address: &str) -> Option<Hint> {
    let mut parts = address.strip_prefix('/')?.split('/');
    let (family, ip) = (parts.next()?, parts.next()?);
    let ip: IpAddr = match family {
        "ip4" => IpAddr::V4(ip.parse().ok()?),
        "ip6" => IpAddr::V6(ip.parse().ok()?),
        _ => return None,
    };
    let (transport, port) = (parts.next()?, parts.next()?.parse().ok()?);
    match (transport, parts.next()) {
        ("tcp", None | Some("p2p")) => Some(Hint { ip, port, quic: false }),
        ("udp", Some("quic-v1")) => Some(Hint { ip, port, quic: true }),
        _ => None,
    }
}

/// The multiaddr of a hint.
pub(crate) fn hint_address(hint: &Hint) -> String {
    let family = if hint.ip.is_ipv4() { "ip4" } else { "ip6" };
    let transport =
        if hint.quic { format!("udp/{}/quic-v1", hint.port) } else { format!("tcp/{}", hint.port) };
    format!("/{family}/{}/{transport}", hint.ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_and_multiaddrs_name_the_same_place() {
        for address in ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/9", "/ip4/1.2.3.4/udp/5/quic-v1"] {
            assert_eq!(parse_hint(address).map(|hint| hint_address(&hint)).as_deref(), Some(address));
        }
        assert!(parse_hint("/ip4/1.2.3.4/tcp/5/p2p/12D3KooW").is_some());
        for bad in ["", "/dns4/x/tcp/1", "/ip4/1.2.3.4/udp/5", "/ip4/1.2.3.4/tcp/5/ws", "/ip4/1.2.3.4/tcp/x"]
        {
            assert_eq!(parse_hint(bad), None, "{bad}");
        }
    }
}
