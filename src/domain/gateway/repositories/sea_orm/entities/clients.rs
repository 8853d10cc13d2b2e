//! Machine clients. Keys are stored as a JSON array of objects, each with the `alg` that its JWK is used for.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use serde_json::{Value, json};

use super::{corrupt, digest, from_json, micros, time};
use crate::domain::gateway::{
    models::client::{Client, ClientAlgorithm, ClientCredential, ClientKey},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "clients")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub audience: Option<String>,
    pub secret_digest: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text", nullable)]
    pub keys: Option<String>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Client> for ActiveModel {
    fn from(client: &Client) -> Self {
        let (secret_digest, keys) = columns(&client.credential);
        Self {
            id: Set(client.id.as_uuid()),
            name: Set(client.name.as_str().to_owned()),
            scope: Set(client.scope.to_string()),
            audience: Set(client.audience.clone()),
            secret_digest: Set(secret_digest),
            keys: Set(keys),
            created_at: Set(micros(client.created_at)),
        }
    }
}

/// `secret_digest` and `keys` of a credential: exactly one of them.
pub fn columns(credential: &ClientCredential) -> (Option<Vec<u8>>, Option<String>) {
    match credential {
        ClientCredential::Secret(digest) => (Some(digest.as_bytes().to_vec()), None),
        ClientCredential::Keys(keys) => {
            let row = |key: &ClientKey| json!({"kid": key.kid, "alg": key.algorithm.name(), "jwk": key.jwk});
            (None, Some(Value::Array(keys.iter().map(row).collect()).to_string()))
        }
    }
}

impl TryFrom<Model> for Client {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        let credential = match (row.secret_digest, row.keys) {
            (Some(bytes), None) => ClientCredential::Secret(digest(bytes)?),
            (None, Some(keys)) => {
                let keys: Vec<Value> = from_json(&keys, "a client's keys")?;
                ClientCredential::Keys(keys.into_iter().map(key).collect::<Result<_, _>>()?)
            }
            (None, None) | (Some(_), Some(_)) => return Err(corrupt("a client's credential")),
        };
        Ok(Self {
            id: row.id.into(),
            name: row.name.parse().map_err(|_| corrupt("a client's name"))?,
            scope: row.scope.parse().map_err(|_| corrupt("a client's scope"))?,
            audience: row.audience,
            credential,
            created_at: time(row.created_at)?,
        })
    }
}

fn key(mut row: Value) -> Result<ClientKey, RepositoryError> {
    let algorithm = ClientAlgorithm::ALL.into_iter().find(|algorithm| row["alg"] == algorithm.name());
    Ok(ClientKey {
        kid: row["kid"].as_str().map(str::to_owned),
        algorithm: algorithm.ok_or_else(|| corrupt("the algorithm of a client's key"))?,
        jwk: row["jwk"].take(),
    })
}
