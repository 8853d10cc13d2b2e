//! JSON whose members keep their order: documents are written for people to read. Edits happen in place.

pub mod openapi30;

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// Members, in their order.
    Object(Vec<(String, Json)>),
    /// Elements.
    Array(Vec<Json>),
    /// A text, a number, a boolean or null.
    Plain(Value),
}

impl Json {
    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A mutable member of an object.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.members_mut().iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value at this path of members.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Self> {
        path.iter().try_fold(self, |value, name| value.get_mut(name))
    }

    /// Sets a member of an object; a new member goes last.
    pub fn set(&mut self, name: &str, value: impl Into<Self>) {
        let value = value.into();
        match self.get_mut(name) {
            Some(known) => *known = value,
            None => {
                if let Self::Object(members) = self {
                    members.push((name.to_owned(), value));
                }
            }
        }
    }

    /// Removes a member of an object.
    pub fn remove(&mut self, name: &str) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let at = members.iter().position(|(known, _)| known == name)?;
        Some(members.remove(at).1)
    }

    /// The members of an object; another value has none.
    pub fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            Self::Array(_) | Self::Plain(_) => &[],
        }
    }

    /// The mutable members of an object; another value has none.
    pub fn members_mut(&mut self) -> &mut [(String, Self)] {
        match self {
            Self::Object(members) => members,
            Self::Array(_) | Self::Plain(_) => &mut [],
        }
    }

    /// Takes the members out of an object.
    pub fn into_members(self) -> Vec<(String, Self)> {
        match self {
            Self::Object(members) => members,
            Self::Array(_) | Self::Plain(_) => Vec::new(),
        }
    }

    /// The elements of an array; another value has none.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            Self::Object(_) | Self::Plain(_) => &[],
        }
    }

    /// The mutable elements of an array; another value has none.
    pub fn elements_mut(&mut self) -> &mut [Self] {
        match self {
            Self::Array(elements) => elements,
            Self::Object(_) | Self::Plain(_) => &mut [],
        }
    }

    /// The value of a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(value) => value.as_str(),
            Self::Object(_) | Self::Array(_) => None,
        }
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::Plain(Value::Null)
    }
}

/// `serde_json::json!` sorts the members.
impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
            Value::Array(elements) => Self::Array(elements.into_iter().map(Self::from).collect()),
            plain => Self::Plain(plain),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Self::Array(elements) => {
                let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    sequence.serialize_element(element)?;
                }
                sequence.end()
            }
            Self::Plain(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Plain(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn members_keep_their_order() {
        let text = r#"{"b":[1,-2,0.5,"x",true,null],"a":{"d":{},"c":""}}"#;
        assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
    }

    #[test]
    fn a_member_is_replaced_where_it_is_and_a_new_one_goes_last() {
        let mut json = read(r#"{"b":1,"a":{"c":2}}"#);
        json.set("b", json!([{"z": 1}]));
        json.at_mut(&["a"]).unwrap().set("d", json!("x"));
        assert_eq!(serde_json::to_string(&json).unwrap(), r#"{"b":[{"z":1}],"a":{"c":2,"d":"x"}}"#);
        assert_eq!(json.at_mut(&["a", "d"]).unwrap().text(), Some("x"));
        assert_eq!(json.at_mut(&["a", "x"]), None);
        assert_eq!(json.get("b").map(|b| b.members().len()), Some(0));
    }
}
