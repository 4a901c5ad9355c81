//! The first message: from a bundle to a session, on both sides (SPEC §5.2).

use ml_kem::kem::{Decapsulate, Encapsulate};
use rand::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::crypto::{NotAuthentic, Secret, hkdf, is_low_order};
use crate::id::{AccountId, DeviceId, InviteToken, SessionId};
use crate::keys::{DeviceKeys, PrekeyPair};
use crate::label;
use crate::session::chain::ReceiveChain;
use crate::session::limits::BUNDLE_GRACE_MS;
use crate::session::noise::{self, Pattern, Setup, Split};
use crate::session::parts::{DEVICE_MESSAGE, FIRST_NOISE, FirstHeader, KEM_CIPHERTEXT};
use crate::session::schedule::{EpochKeys, TagSource, direct_key};
use crate::session::skipped::Skipped;
use crate::session::{OpenError, Opened, Opening, SendEpoch, Session, SessionError, Turn};
use crate::time::Time;
use crate::wire::bundle::{Bundle, hint_of};
use crate::wire::layout::Reader;
use crate::wire::manifest::verify_certificate;

/// This device, as it introduces itself.
#[derive(Debug)]
pub struct LocalDevice<'a> {
    /// Its keys.
    pub device: &'a DeviceKeys,
    /// Its account.
    pub account: AccountId,
    /// The account's signature on its keys.
    pub certificate: [u8; 64],
    /// Version of the account's manifest.
    pub manifest_version: u64,
    /// Hash of the account's manifest.
    pub manifest_hash: [u8; 32],
}

/// Whom a first message comes from. The certificate has been checked; that the manifest still lists
/// the device has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The sender's account.
    pub account: AccountId,
    /// The sender's device.
    pub device: DeviceId,
    /// The device's Diffie-Hellman key, which it has proven to hold.
    pub device_dh: [u8; 32],
    /// The invite token it presents.
    pub token: Option<InviteToken>,
    /// Version of its manifest.
    pub manifest_version: u64,
    /// Hash of its manifest.
    pub manifest_hash: [u8; 32],
}

/// A session that a first message began, and that message's content.
#[derive(Debug)]
pub struct Accepted {
    /// The session, ready to answer.
    pub session: Session,
    /// Whom it is with.
    pub introduction: Introduction,
    /// The content of the message.
    pub opened: Opened,
}

/// Begins a session with the device of `bundle`. Nothing is sent: the first [`Session::seal`] makes
/// the first message.
///
/// # Errors
/// The bundle is another account's, expired, or unusable.
pub fn initiate(
    now: Time,
    local: &LocalDevice<'_>,
    peer_account: AccountId,
    bundle: &Bundle,
    token: Option<InviteToken>,
    rng: &mut dyn CryptoRng,
) -> Result<Session, SessionError> {
    if bundle.account() != peer_account {
        return Err(SessionError::OtherAccount);
    }
    if now > bundle.times().not_after.plus(BUNDLE_GRACE_MS) {
        return Err(SessionError::Expired);
    }
    let kpk = bundle.encapsulation_key().ok_or(SessionError::BadKey)?;
    let (ciphertext, shared) = kpk.encapsulate_with_rng(rng);
    let binding = Binding { account: peer_account, bundle: bundle.id(), kem_ciphertext: ciphertext.into() };
    let next_private = Secret::random(rng);
    let payload = write_payload(local, token, &public_of(&next_private));
    let mut write = || -> Result<(Vec<u8>, Split, Vec<u8>), NotAuthentic> {
        let (device_message, device_split) =
            noise::write(&binding.device_setup(), None, &bundle.device_dh(), &[], rng)?;
        let psk = first_psk(&device_split, &Secret(shared.into()));
        let prologue = binding.first_prologue(&device_message);
        let setup = Setup { pattern: Pattern::Xpsk0, prologue: &prologue, psk: Some(&psk) };
        let own = local.device.dh_private();
        let (message, split) = noise::write(&setup, Some(own), bundle.spk(), &payload, rng)?;
        Ok((device_message, bind(&split, own, &bundle.device_dh())?, message))
    };
    let (device_message, split, message) = write().map_err(|NotAuthentic| SessionError::BadKey)?;
    let prefix = [bundle.hint().as_slice(), &device_message, &binding.kem_ciphertext, &message].concat();

    let keys = EpochKeys::derive(&split);
    let opening = Opening::First(prefix);
    let turn = Turn::Ours(SendEpoch { epoch: 0, chain: keys.chain, n: 0, next_private, opening });
    let mut session = Session {
        id: SessionId(split.hash),
        peer_account,
        peer_device: bundle.device(),
        created_at: now,
        bundle_not_after: Some(bundle.times().not_after),
        direct_key: direct_key(&split),
        root: keys.root,
        next: keys.next,
        turn,
        receiving: None,
        skipped: Skipped::default(),
        next_window: Default::default(),
    };
    session.fill_next_window();
    Ok(session)
}

/// Opens a first message that was sealed to `prekeys`, of which `bundle_id` is the bundle.
/// Costs five Diffie-Hellmans and a decapsulation: limit who may cause it first.
///
/// # Errors
/// Anything is wrong with it.
pub fn accept(
    now: Time,
    local: &LocalDevice<'_>,
    prekeys: &PrekeyPair,
    bundle_id: &[u8; 32],
    inner: &[u8],
) -> Result<Accepted, OpenError> {
    accept_inner(now, local, prekeys, bundle_id, inner).map_err(|NotAuthentic| OpenError)
}

fn accept_inner(
    now: Time,
    local: &LocalDevice<'_>,
    prekeys: &PrekeyPair,
    bundle_id: &[u8; 32],
    inner: &[u8],
) -> Result<Accepted, NotAuthentic> {
    let header = FirstHeader::parse(inner).ok_or(NotAuthentic)?;
    if header.hint != hint_of(bundle_id) {
        return Err(NotAuthentic);
    }
    let read = read_first(local, prekeys, bundle_id, inner)?;
    let (introduction, peer_next) = read_payload(&read).ok_or(NotAuthentic)?;
    let split = bind(&read.split, local.device.dh_private(), &introduction.device_dh)?;
    let keys = EpochKeys::derive(&split);
    let chain = ReceiveChain::new(0, keys.chain, 0, TagSource::First(header.ephemeral));
    let mut session = Session {
        id: SessionId(split.hash),
        peer_account: introduction.account,
        peer_device: introduction.device,
        created_at: now,
        bundle_not_after: None,
        direct_key: direct_key(&split),
        root: keys.root,
        next: keys.next,
        turn: Turn::Theirs { peer_next, sent_before: 0 },
        receiving: Some(chain),
        skipped: Skipped::default(),
        next_window: Default::default(),
    };
    let opened = session.open_first_again(now, inner).map_err(|OpenError| NotAuthentic)?;
    Ok(Accepted { session, introduction, opened })
}

/// Reads N, then the KEM ciphertext, then X.
fn read_first(
    local: &LocalDevice<'_>,
    prekeys: &PrekeyPair,
    bundle_id: &[u8; 32],
    inner: &[u8],
) -> Result<noise::Read, NotAuthentic> {
    let mut reader = Reader::new(inner);
    let mut split = || {
        reader.slice(8)?;
        let device_message = reader.slice(DEVICE_MESSAGE)?;
        let kem_ciphertext = reader.array::<KEM_CIPHERTEXT>()?;
        Some((device_message, kem_ciphertext, reader.slice(FIRST_NOISE)?))
    };
    let (device_message, kem_ciphertext, message) = split().ok_or(NotAuthentic)?;
    let binding = Binding { account: local.account, bundle: *bundle_id, kem_ciphertext };
    let device = noise::read(&binding.device_setup(), local.device.dh_private(), device_message)?;
    let shared = prekeys.decapsulation_key().decapsulate(&binding.kem_ciphertext.into());
    let psk = first_psk(&device.split, &Secret(shared.into()));
    let prologue = binding.first_prologue(device_message);
    let setup = Setup { pattern: Pattern::Xpsk0, prologue: &prologue, psk: Some(&psk) };
    noise::read(&setup, prekeys.spk_private(), message)
}

/// What both Noise messages of a first message are bound to: no ciphertext made for one account,
/// bundle or KEM key means anything with another.
struct Binding {
    account: AccountId,
    bundle: [u8; 32],
    kem_ciphertext: [u8; KEM_CIPHERTEXT],
}

impl Binding {
    /// The N message carries nothing; all that is taken from it is a key, which the X message
    /// confirms. So its prologue is its label alone and the binding is made there.
    fn device_setup(&self) -> Setup<'static> {
        Setup { pattern: Pattern::N, prologue: label::PROLOGUE_DEVICE, psk: None }
    }

    fn first_prologue(&self, device_message: &[u8]) -> Vec<u8> {
        [label::PROLOGUE_FIRST, &self.account.0, &self.bundle, &self.kem_ciphertext, device_message].concat()
    }
}

/// `psk0` of the X message: nobody has it without both the device key and the KEM key.
fn first_psk(device: &Split, shared: &Secret) -> Secret {
    hkdf(&device.hash, join(shared, &device.k1.0).as_slice(), &[label::FIRST_PSK])
}

/// Binds epoch 0 to the Diffie-Hellman of both device keys.
///
/// In the X message the sender is authenticated by a Diffie-Hellman with the prekey alone, so who
/// has stolen the prekey's private half could make that message in anybody's name. Its content
/// would not open: that takes one of the two device keys as well.
fn bind(split: &Split, own: &[u8; 32], peer: &[u8; 32]) -> Result<Split, NotAuthentic> {
    let shared = StaticSecret::from(*own).diffie_hellman(&PublicKey::from(*peer));
    if !shared.was_contributory() {
        return Err(NotAuthentic);
    }
    let with = |key: &Secret, label| hkdf(&split.hash, join(key, shared.as_bytes()).as_slice(), &[label]);
    Ok(Split { hash: split.hash, k1: with(&split.k1, label::FIRST_K1), k2: with(&split.k2, label::FIRST_K2) })
}

fn join(a: &Secret, b: &[u8; 32]) -> Zeroizing<[u8; 64]> {
    let mut out = Zeroizing::new([0; 64]);
    out.iter_mut().zip(a.0.iter().chain(b)).for_each(|(to, from)| *to = *from);
    out
}

fn write_payload(local: &LocalDevice<'_>, token: Option<InviteToken>, next: &[u8; 32]) -> Vec<u8> {
    [
        next.as_slice(),
        &local.device.id().0,
        &local.certificate,
        &local.account.0,
        &token.map_or([0; 16], |token| token.0),
        &local.manifest_version.to_le_bytes(),
        &local.manifest_hash,
    ]
    .concat()
}

/// Who introduces itself, and the key our first epoch is made to.
pub(super) fn read_payload(read: &noise::Read) -> Option<(Introduction, [u8; 32])> {
    let device_dh = read.remote?;
    let mut reader = Reader::new(&read.payload);
    let peer_next = reader.array()?;
    let (device, certificate) = (DeviceId(reader.array()?), reader.array()?);
    let account = AccountId(reader.array()?);
    let token = Some(InviteToken(reader.array()?)).filter(|token| token.0 != [0; 16]);
    let (manifest_version, manifest_hash) = (reader.u64()?, reader.array()?);
    reader.end()?;
    let usable = !is_low_order(&peer_next) && !is_low_order(&device_dh);
    (usable && verify_certificate(account, device, &device_dh, &certificate)).then_some((
        Introduction { account, device, device_dh, token, manifest_version, manifest_hash },
        peer_next,
    ))
}

/// The public half of an X25519 key.
pub(super) fn public_of(private: &Secret) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(private.0)).to_bytes()
}

#[cfg(test)]
mod tests;
