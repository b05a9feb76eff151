//! Walking protobuf bytes field by field, without copying and without a tree.
//!
//! [`Fields`] yields the fields of one message as slices of the bytes it was given; a nested
//! message is walked by making another `Fields` from its slice. Nothing here recurses, so no
//! nesting, however deep, costs stack: what is not asked for is stepped over by its length.
//!
//! Refused, as [`Malformed`]: what ends too early, numbers of more than ten bytes, field number
//! zero, groups (no message of OTLP has any), and a known field sent with another wire type. Bytes
//! inside a field that nobody asks for are not looked at. Text is read leniently: a byte that is
//! not UTF-8 becomes `U+FFFD`, since one bad attribute is no reason to lose five hundred spans.

use std::borrow::Cow;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field says it is longer than what is left.
    #[error("a field ends after the end of the message")]
    Truncated,
    /// A number takes more than ten bytes or does not fit into 64 bits.
    #[error("a number is longer than 64 bits")]
    Overlong,
    /// Field numbers start at one and end at 2^29 - 1.
    #[error("a field number is out of range")]
    FieldNumber,
    /// A group, or a wire type that does not exist.
    #[error("a field has a wire type that this protocol does not use")]
    WireType,
    /// A known field has the wrong wire type.
    #[error("field {0} has the wrong wire type")]
    FieldType(u32),
}

/// A field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number or flag.
    Varint(u64),
    /// Eight bytes, read little-endian.
    Fixed64(u64),
    /// Text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes, read little-endian.
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's number.
    pub number: u32,
    /// What it holds.
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The bytes of a field of text, bytes, message or packed numbers.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::FieldType(self.number)),
        }
    }

    /// The number in a field of an integer, enum or flag.
    #[inline]
    pub fn varint(self) -> Result<u64, Malformed> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(Malformed::FieldType(self.number)),
        }
    }

    /// The number in a `fixed64` field.
    #[inline]
    pub fn fixed64(self) -> Result<u64, Malformed> {
        match self.value {
            Value::Fixed64(number) => Ok(number),
            _ => Err(Malformed::FieldType(self.number)),
        }
    }

    /// The number in a `fixed32` field.
    #[inline]
    pub fn fixed32(self) -> Result<u32, Malformed> {
        match self.value {
            Value::Fixed32(number) => Ok(number),
            _ => Err(Malformed::FieldType(self.number)),
        }
    }

    /// The number in a `double` field.
    #[inline]
    pub fn double(self) -> Result<f64, Malformed> {
        self.fixed64().map(f64::from_bits)
    }

    /// The number in an `sint32` field.
    #[inline]
    pub fn sint32(self) -> Result<i32, Malformed> {
        let number = self.varint()? as u32;
        Ok((number >> 1) as i32 ^ -((number & 1) as i32))
    }

    /// Appends the numbers of a repeated `fixed64` field, packed or not.
    pub fn repeated_fixed64(self, push: &mut impl FnMut(u64)) -> Result<(), Malformed> {
        match self.value {
            Value::Fixed64(number) => push(number),
            Value::Bytes(bytes) => {
                let (numbers, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(Malformed::Truncated);
                }
                for number in numbers {
                    push(u64::from_le_bytes(*number));
                }
            }
            _ => return Err(Malformed::FieldType(self.number)),
        }
        Ok(())
    }

    /// Appends the numbers of a repeated `uint64` field, packed or not.
    pub fn repeated_varint(self, push: &mut impl FnMut(u64)) -> Result<(), Malformed> {
        match self.value {
            Value::Varint(number) => push(number),
            Value::Bytes(bytes) => {
                let mut fields = Fields::new(bytes);
                while !fields.rest.is_empty() {
                    push(fields.varint()?);
                }
            }
            _ => return Err(Malformed::FieldType(self.number)),
        }
        Ok(())
    }
}

/// The fields of one message, in the order in which they were sent.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of the message in `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes of the fields that are still to come.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, or `None` at the end of the message.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "called some thirty times a span, a field returned through memory doubles the cost"
    )]
    #[expect(
        clippy::should_implement_trait,
        reason = "a result of an option reads better with ? than an option of a result"
    )]
    pub fn next(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed::FieldNumber)?;
        if number == 0 || number >= 1 << 29 {
            return Err(Malformed::FieldNumber);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed::WireType),
        };
        Ok(Some(Field { number, value }))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_varint(first)
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, Malformed> {
        let mut number = u64::from(first & 0x7f);
        for (place, &byte) in self.rest.iter().take(9).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * (place + 1));
            if byte < 0x80 {
                if place == 8 && byte > 1 {
                    return Err(Malformed::Overlong);
                }
                self.rest = &self.rest[place + 1..];
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 9 { Malformed::Truncated } else { Malformed::Overlong })
    }
}

/// Text as it was sent, with what is not UTF-8 replaced.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
        let mut fields = Fields::new(bytes);
        let mut out = Vec::new();
        while let Some(field) = fields.next()? {
            out.push(field);
        }
        Ok(out)
    }

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [
            0x08, 0x96, 0x01, // field 1, varint 150
            0x12, 0x02, b'h', b'i', // field 2, bytes
            0x19, 1, 0, 0, 0, 0, 0, 0, 0, // field 3, fixed64
            0x25, 2, 0, 0, 0, // field 4, fixed32
            0x82, 0x01, 0x00, // field 16, empty bytes
        ];
        let values: Vec<_> = all(&bytes).unwrap().into_iter().map(|field| (field.number, field.value)).collect();
        assert_eq!(
            values,
            [
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"hi")),
                (3, Value::Fixed64(1)),
                (4, Value::Fixed32(2)),
                (16, Value::Bytes(b"")),
            ]
        );
    }

    #[test]
    fn what_is_malformed_says_why() {
        let table: [(&[u8], Malformed); 9] = [
            (&[0x80], Malformed::Truncated),
            (&[0x08], Malformed::Truncated),
            (&[0x12, 0x05, b'x'], Malformed::Truncated),
            (&[0x19, 0, 0], Malformed::Truncated),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Malformed::Overlong),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Malformed::Overlong),
            (&[0x00, 0x00], Malformed::FieldNumber),
            (&[0x0b], Malformed::WireType),
            (&[0x0f], Malformed::WireType),
        ];
        for (bytes, error) in table {
            assert_eq!(all(bytes).unwrap_err(), error, "{bytes:x?}");
        }
        let field = all(&[0x08, 0x01]).unwrap()[0];
        assert_eq!(field.bytes(), Err(Malformed::FieldType(1)));
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_prost_writes_them(number: u64, signed: i32, doubles: Vec<f64>) {
            let mut bytes = Vec::new();
            prost::encoding::uint64::encode(1, &number, &mut bytes);
            prost::encoding::sint32::encode(2, &signed, &mut bytes);
            prost::encoding::uint64::encode_packed(3, &[number, 1], &mut bytes);
            prost::encoding::double::encode_packed(4, &doubles, &mut bytes);
            let fields = all(&bytes).unwrap();
            prop_assert_eq!(fields[0].varint(), Ok(number));
            prop_assert_eq!(fields[1].sint32(), Ok(signed));
            let mut numbers = Vec::new();
            fields[2].repeated_varint(&mut |number| numbers.push(number)).unwrap();
            prop_assert_eq!(numbers, [number, 1]);
            let mut read = Vec::new();
            if let Some(field) = fields.get(3) {
                field.repeated_fixed64(&mut |bits| read.push(bits)).unwrap();
            }
            let sent: Vec<u64> = doubles.iter().map(|double| double.to_bits()).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn any_bytes_give_an_answer(bytes: Vec<u8>) {
            let _ = all(&bytes);
        }
    }
}
