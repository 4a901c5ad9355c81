//! Rows of the stores, contents of sessions, payloads of frames: bincode's standard configuration.
//!
//! bincode writes; what is read goes through [`reader`], which takes the same bytes and allocates no more
//! than they bear out. Trailing bytes are refused. Nothing that is signed goes through here. The only user
//! of bincode. SPEC §6.1.

use core::fmt;
use core::marker::PhantomData;

use serde::de::{self, DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

mod reader;

/// Room for most rows from the beginning: growing copies, and leaves copies behind.
const ENCODED_BYTES_USUAL: usize = 512;

/// Why bytes are not an encoding of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are not.
    #[error("malformed encoding")]
    Malformed,
    /// A list has more elements than it may have.
    #[error("a list over its limit")]
    TooLong,
}

/// Encodes a value of a plain data type.
///
/// # Panics
/// Never for the types used here: bincode fails only for types whose length is unknown.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENCODED_BYTES_USUAL);
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("invariant: plain data types with known lengths always encode");
    bytes
}

/// Decodes exactly one value: trailing bytes and claims of more than there is are refused.
///
/// # Errors
/// The bytes are not an encoding of such a value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut decoder = reader::Decoder::new(bytes);
    let value = T::deserialize(&mut decoder)?;
    decoder.end()?;
    Ok(value)
}

/// Reads a list of at most `MAX` elements: for `#[serde(deserialize_with)]` on every list that is not of
/// bytes. What an element needs in memory may be many times what it takes on the wire.
///
/// # Errors
/// One element too many, or not such a list.
pub fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(AtMost::<T, MAX>(PhantomData))
}

struct AtMost<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for AtMost<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::with_capacity(elements.size_hint().unwrap_or(0).min(MAX));
        while let Some(element) = elements.next_element()? {
            if list.len() == MAX {
                return Err(de::Error::invalid_length(MAX + 1, &self));
            }
            list.push(element);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests;
