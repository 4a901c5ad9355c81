//! The one-way Noise messages that every asymmetric step of a session is (SPEC §5.1).
//!
//! A `HandshakeState` lives within one call: it is neither serialisable nor zeroised, and after a
//! failed read it must not be used again.

use rand::CryptoRng;
use snow::{Builder, HandshakeState};

use crate::crypto::{NotAuthentic, Secret};
use crate::session::resolver::Resolver;

/// Bytes of the `e` token and of an AEAD tag.
pub(super) const EPHEMERAL: usize = 32;
pub(super) const MAC: usize = 16;

/// The patterns in use. Their names go into the handshake hash, so they cannot be confused.
#[derive(Clone, Copy)]
pub(super) enum Pattern {
    /// To the device key.
    N,
    /// The first message.
    Xpsk0,
    /// A new epoch.
    Npsk0,
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Pattern::N => "Noise_N_25519_ChaChaPoly_SHA256",
            Pattern::Xpsk0 => "Noise_Xpsk0_25519_ChaChaPoly_SHA256",
            Pattern::Npsk0 => "Noise_Npsk0_25519_ChaChaPoly_SHA256",
        }
    }
}

/// What both sides must agree on before the message.
pub(super) struct Setup<'a> {
    pub(super) pattern: Pattern,
    pub(super) prologue: &'a [u8],
    pub(super) psk: Option<&'a Secret>,
}

/// What a finished message leaves: the handshake hash and the two keys of `Split()`.
pub(super) struct Split {
    pub(super) hash: [u8; 32],
    pub(super) k1: Secret,
    pub(super) k2: Secret,
}

/// Writes one message with `payload` to `remote`; `own` is the static key where the pattern sends it.
pub(super) fn write(
    setup: &Setup<'_>,
    own: Option<&[u8; 32]>,
    remote: &[u8; 32],
    payload: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, Split), NotAuthentic> {
    let builder = builder(setup, Some(Secret::random(rng)))?;
    let builder = match own {
        Some(own) => builder.local_private_key(own).map_err(|_| NotAuthentic)?,
        None => builder,
    };
    let builder = builder.remote_public_key(remote).map_err(|_| NotAuthentic)?;
    let mut state = builder.build_initiator().map_err(|_| NotAuthentic)?;
    let mut message = vec![0; payload.len() + EPHEMERAL + 32 + 2 * MAC];
    let len = state.write_message(payload, &mut message).map_err(|_| NotAuthentic)?;
    message.truncate(len);
    Ok((message, split(state)?))
}

/// What reading a message gives.
pub(super) struct Read {
    pub(super) payload: Vec<u8>,
    /// The sender's static key, where the pattern sends it.
    pub(super) remote: Option<[u8; 32]>,
    pub(super) split: Split,
}

/// Reads one message that was written to `own`.
pub(super) fn read(setup: &Setup<'_>, own: &[u8; 32], message: &[u8]) -> Result<Read, NotAuthentic> {
    let builder = builder(setup, None)?.local_private_key(own).map_err(|_| NotAuthentic)?;
    let mut state = builder.build_responder().map_err(|_| NotAuthentic)?;
    let mut payload = vec![0; message.len()];
    let len = state.read_message(message, &mut payload).map_err(|_| NotAuthentic)?;
    payload.truncate(len);
    let remote = state.get_remote_static().and_then(|key| key.try_into().ok());
    Ok(Read { payload, remote, split: split(state)? })
}

fn builder<'a>(setup: &Setup<'a>, ephemeral: Option<Secret>) -> Result<Builder<'a>, NotAuthentic> {
    let params = setup.pattern.name().parse().map_err(|_| NotAuthentic)?;
    let builder = Builder::with_resolver(params, Box::new(Resolver { ephemeral }));
    let builder = builder.prologue(setup.prologue).map_err(|_| NotAuthentic)?;
    match setup.psk {
        Some(psk) => builder.psk(0, &psk.0).map_err(|_| NotAuthentic),
        None => Ok(builder),
    }
}

pub(super) fn split(mut state: HandshakeState) -> Result<Split, NotAuthentic> {
    // The raw split does not look whether the handshake is finished.
    if !state.is_handshake_finished() {
        return Err(NotAuthentic);
    }
    let hash = state.get_handshake_hash().try_into().map_err(|_| NotAuthentic)?;
    let (k1, k2) = state.dangerously_get_raw_split();
    Ok(Split { hash, k1: Secret(k1), k2: Secret(k2) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::handshake::public_of;
    use crate::testing::{rng, unhex};

    /// Reading is exact; writing is too, once the generator gives the vector's ephemeral key.
    #[test]
    fn an_independent_implementation_agrees() {
        let vectors = include_str!("../../tests/vectors/noise-oneway.txt");
        let mut seen = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let (name, fields) = line.split_once(' ').unwrap();
            let fields: Vec<Vec<u8>> = fields.split(' ').map(unhex).collect();
            let [prologue, psk, own, remote, ephemeral, payload, message, hash, k1, k2] =
                fields.try_into().unwrap();
            let patterns = [Pattern::N, Pattern::Xpsk0, Pattern::Npsk0];
            let pattern = patterns.into_iter().find(|pattern| pattern.name() == name).unwrap();
            let psk = <[u8; 32]>::try_from(psk).ok().map(Secret);
            let own = <[u8; 32]>::try_from(own).ok();
            let remote: [u8; 32] = remote.try_into().unwrap();
            let setup = Setup { pattern, prologue: &prologue, psk: psk.as_ref() };

            let read = read(&setup, &remote, &message).unwrap();
            assert_eq!(read.payload, payload);
            assert_eq!(read.remote, own.map(|own| public_of(&Secret(own))));
            let mut fixed = Fixed(ephemeral);
            let remote = public_of(&Secret(remote));
            let (written, split) = write(&setup, own.as_ref(), &remote, &payload, &mut fixed).unwrap();
            assert_eq!(written, message);
            for split in [split, read.split] {
                assert_eq!((split.hash.to_vec(), split.k1.0.to_vec()), (hash.clone(), k1.clone()));
                assert_eq!(split.k2.0.to_vec(), k2);
            }
            seen += 1;
        }
        assert_eq!(seen, 9);
    }

    #[test]
    fn a_zero_shared_secret_ends_writing_and_reading() {
        let setup = Setup { pattern: Pattern::N, prologue: b"", psk: None };
        assert!(write(&setup, None, &[0; 32], b"", &mut rng(1)).is_err());
        assert!(read(&setup, &[5; 32], &[0; 48]).is_err());
    }

    /// Gives the bytes it was made with.
    struct Fixed(Vec<u8>);

    impl rand::TryRng for Fixed {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Self::Error> {
            dest.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl rand::TryCryptoRng for Fixed {}
}
