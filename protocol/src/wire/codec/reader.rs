//! Reading bincode's standard configuration, so that nothing is allocated that the bytes do not bear out.
//!
//! bincode itself allocates what a length claims before it has looked for so many bytes, and lets serde do
//! so too: 43 bytes that claim 2^62 elements made a megabyte. Here a length beyond the bytes that are left is
//! refused, and a list grows with what was read. Reads what our types are made of; floats, characters, signed
//! numbers and maps are refused. SPEC §6.1.

use core::fmt;

use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, SeqAccess, VariantAccess, Visitor};

use super::DecodeError;
use crate::wire::layout::Reader;

/// Marks of numbers that do not fit one byte: what follows has two, four or eight.
const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;
/// Greater ones are not lengths, numbers or variants of ours.
const ABOVE: u8 = 254;

/// Elements for which room is made before they are read, as a part of the bytes that are left: an element
/// of 32 bytes in memory may be claimed by one.
const ROOM_FOR_ONE_IN: usize = 8;

/// The bytes that are left.
pub(super) struct Decoder<'de> {
    rest: Reader<'de>,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Decoder<'de> {
        Decoder { rest: Reader::new(bytes) }
    }

    /// Trailing bytes are refused.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        self.rest.end().ok_or(DecodeError::Malformed)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.rest.u8().ok_or(DecodeError::Malformed)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let number = match self.byte()? {
            TWO_BYTES => self.rest.u16().map(u64::from),
            FOUR_BYTES => self.rest.u32().map(u64::from),
            EIGHT_BYTES => self.rest.u64(),
            ABOVE.. => None,
            small => Some(u64::from(small)),
        };
        number.ok_or(DecodeError::Malformed)
    }

    /// A number of a smaller type: whoever writes one uses no longer form than that type has.
    fn small<T: TryFrom<u64>>(&mut self, longest: u8) -> Result<T, DecodeError> {
        if self.rest.clone().u8().is_some_and(|mark| mark > longest) {
            return Err(DecodeError::Malformed);
        }
        T::try_from(self.number()?).map_err(|_| DecodeError::Malformed)
    }

    /// A length: of bytes, or of elements of at least one byte each.
    fn length(&mut self) -> Result<usize, DecodeError> {
        let length = usize::try_from(self.number()?).map_err(|_| DecodeError::Malformed)?;
        if length > self.rest.len() { Err(DecodeError::Malformed) } else { Ok(length) }
    }

    fn bytes(&mut self) -> Result<&'de [u8], DecodeError> {
        let length = self.length()?;
        self.rest.slice(length).ok_or(DecodeError::Malformed)
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Malformed),
        }
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(_: T) -> DecodeError {
        DecodeError::Malformed
    }

    /// What [`super::at_most`] says; a tuple that is too short cannot come from here.
    fn invalid_length(_: usize, _: &dyn de::Expected) -> DecodeError {
        DecodeError::TooLong
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char map identifier ignored_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::Malformed)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bool(self.flag()?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u16(self.small(TWO_BYTES)?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u32(self.small(FOUR_BYTES)?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(core::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Malformed)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.flag()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let left = self.length()?;
        visitor.visit_seq(Elements { decoder: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Elements { decoder: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(left, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of a list, or the fields of a struct.
struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.decoder.rest.len() / ROOM_FOR_ONE_IN))
    }
}

impl<'de> EnumAccess<'de> for &mut Decoder<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), DecodeError> {
        let variant: u32 = self.small(FOUR_BYTES)?;
        Ok((seed.deserialize(variant.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, DecodeError> {
        de::Deserializer::deserialize_tuple(self, left, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        de::Deserializer::deserialize_tuple(self, fields.len(), visitor)
    }
}
