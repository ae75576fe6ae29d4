//! A serde deserializer over TOML values whose errors are data: which key, what kind of mistake, what was expected.
//!
//! The `toml` crate's own deserializer reports text and stops at the first mistake. [`super::strict`] needs to know
//! what to repair in order to go on and report the rest.

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use std::fmt;
use toml::{Value, map};

/// A mistake and the path to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// Keys from the innermost outwards.
    reversed_path: Vec<String>,
    pub(super) mistake: Mistake,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mistake {
    /// A key the table does not have.
    UnknownField { field: String, known: &'static [&'static str] },
    /// A word that is none of the allowed ones.
    UnknownVariant { variant: String, known: &'static [&'static str] },
    /// A required key is absent.
    MissingField(&'static str),
    /// A value of another type.
    WrongType { found: String, expected: String },
    /// Anything a type's own deserialisation says.
    Other(String),
}

impl Fault {
    fn new(mistake: Mistake) -> Self {
        Self { reversed_path: Vec::new(), mistake }
    }
    fn below(mut self, key: impl Into<String>) -> Self {
        self.reversed_path.push(key.into());
        self
    }
    /// Keys from the outermost inwards.
    pub(super) fn path(&self) -> Vec<String> {
        self.reversed_path.iter().rev().cloned().collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path().join("."), self.mistake)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Mistake::Other(message.to_string()))
    }
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Mistake::WrongType { found: found.to_string(), expected: expected.to_string() })
    }
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }
    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(Mistake::UnknownVariant { variant: variant.to_owned(), known })
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Mistake::UnknownField { field: field.to_owned(), known })
    }
    fn missing_field(field: &'static str) -> Self {
        Self::new(Mistake::MissingField(field))
    }
}

/// A value to deserialise from.
pub(super) struct Node<'de>(pub(super) &'de Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(truth) => visitor.visit_bool(*truth),
            Value::Datetime(_) => Err(de::Error::invalid_type(Unexpected::Other("date"), &visitor)),
            Value::Array(array) => visitor.visit_seq(Elements(array.iter().enumerate())),
            Value::Table(table) => visitor.visit_map(Entries::new(table)),
        }
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            Value::Table(table) => visitor.visit_enum(MapAccessDeserializer::new(Entries::new(table))),
            _ => self.deserialize_any(visitor),
        }
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Elements<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Fault;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, value)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Node(value)).map(Some).map_err(|fault| fault.below(index.to_string()))
    }
}

struct Entries<'de> {
    rest: map::Iter<'de, String, Value>,
    current: Option<(&'de str, &'de Value)>,
}

impl<'de> Entries<'de> {
    fn new(table: &'de toml::Table) -> Self {
        Self { rest: table.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.rest.next().map(|(key, value)| (key.as_str(), value));
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) = self.current.take().expect("serde asks for a key before its value");
        seed.deserialize(Node(value)).map_err(|fault| fault.below(key))
    }
}
