//! All member names of a JSON file: of two equal ones `serde_json::Value` silently keeps the last.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use crate::domain::gateway::services::ports::{ClientKeyError, KeyFlaw};

/// JSON without its values.
enum Shape {
    Object(Vec<(String, Shape)>),
    Array(Vec<Shape>),
    Other,
}

impl Shape {
    /// Whether this object repeats a member name.
    fn repeats_a_name(&self) -> bool {
        let Self::Object(members) = self else { return false };
        let mut names = HashSet::new();
        members.iter().any(|(name, _)| !names.insert(name))
    }

    /// Whether this value, or any within it, repeats a member name.
    fn repeats_within(&self) -> bool {
        self.repeats_a_name()
            || match self {
                Self::Object(members) => members.iter().any(|(_, member)| member.repeats_within()),
                Self::Array(elements) => elements.iter().any(Self::repeats_within),
                Self::Other => false,
            }
    }

    fn keys_of_set(&self) -> Option<&[Self]> {
        let Self::Object(members) = self else { return None };
        match members.iter().find(|(name, _)| name == "keys")? {
            (_, Self::Array(keys)) => Some(keys),
            (_, Self::Object(_) | Self::Other) => None,
        }
    }
}

/// Finds a repeated member: in a JWK, or in the set of them. PEM has no members.
pub(super) fn repetition(file: &[u8]) -> Option<ClientKeyError> {
    let shape: Shape = serde_json::from_slice(file).ok()?;
    let Some(keys) = shape.keys_of_set() else {
        let flaw = KeyFlaw::RepeatedMember;
        return shape.repeats_within().then_some(ClientKeyError::Unusable { number: 1, flaw });
    };
    if shape.repeats_a_name() {
        return Some(ClientKeyError::RepeatedMember);
    }
    let number = keys.iter().position(Shape::repeats_within)? + 1;
    Some(ClientKeyError::Unusable { number, flaw: KeyFlaw::RepeatedMember })
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Shape, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element()? {
            all.push(element);
        }
        Ok(Shape::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(Shape::Object(all))
    }
}
