//! The only user of bincode: rows of the stores, contents of sessions, payloads of frames.
//!
//! Standard configuration, a limit on what a decode may claim, trailing bytes refused. Nothing that
//! is signed goes through here. SPEC §6.1.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes a decoded value may claim: the largest frame and some room for rows.
const DECODE_BYTES_MAX: usize = 128 * 1024;

/// The bytes are not an encoding of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed encoding")]
pub struct Malformed;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>()
}

/// Encodes a value of a plain data type.
///
/// # Panics
/// Never for the types used here: bincode fails only for types whose length is unknown.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("invariant: plain data types with known lengths always encode")
}

/// Decodes exactly one value: trailing bytes and oversized claims are refused.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    match bincode::serde::decode_from_slice(bytes, config()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) | Err(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bytes_truncation_and_huge_claims_are_refused() {
        let bytes = encode(&(7u64, vec![1u8, 2, 3]));
        assert_eq!(decode::<(u64, Vec<u8>)>(&bytes), Ok((7, vec![1, 2, 3])));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode::<(u64, Vec<u8>)>(&longer), Err(Malformed));
        for cut in 0..bytes.len() {
            assert_eq!(decode::<(u64, Vec<u8>)>(&bytes[..cut]), Err(Malformed));
        }
        // A length of 2^62 in front of nothing.
        let huge = [&[253u8], (1u64 << 62).to_le_bytes().as_slice()].concat();
        assert_eq!(decode::<Vec<u8>>(&huge), Err(Malformed));
    }
}
