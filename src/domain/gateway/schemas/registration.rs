//! Requests and responses about instances that register themselves.

use chrono::{DateTime, FixedOffset, TimeDelta};
use chrono_tz::Tz;
use poem_openapi::{ApiResponse, Object, payload::Json, types::Example};
use serde::Deserialize;
use validator::Validate;

use super::local;
use crate::{
    domain::gateway::models::registration::{
        InstanceAddress, InvalidInstanceUrl, RegisteredInstance, Registration, RegistrationRequest, USUAL_TTL_SECONDS,
        USUAL_WEIGHT,
    },
    problem::FieldError,
};

/// An instance to register. Either `url` or `port` is required.
#[derive(Debug, Default, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RegisterInstance {
    /// URL of the instance, such as `http://10.0.0.7:8001` or `http://10.0.0.7:8001/base`: `https://` for TLS, `h2c://`
    /// and `h2s://` for HTTP/2. The host must be an IP address in one of the networks of `SERVICE_CIDRS`, never a name.
    #[validate(length(min = 1, max = 512, message = "must be 1 to 512 characters"))]
    #[oai(validator(min_length = 1, max_length = 512, pattern = r"^(?:http|https|h2c|h2s)://[^?#@\s]+$"))]
    pub url: Option<String>,
    /// Port of the instance, instead of `url`. The instance is then `http://<your address>:<port>`: the address that this
    /// request came from.
    #[validate(range(min = 1, max = 65535, message = "must be 1 to 65535"))]
    #[oai(validator(minimum(value = "1"), maximum(value = "65535")))]
    #[serde(default, deserialize_with = "super::whole_number")]
    pub port: Option<i64>,
    /// Duration of the lease in seconds, 5 to 3600. Default: 30. Send a heartbeat after a third of it.
    #[validate(range(min = 5, max = 3600, message = "must be 5 to 3600 seconds"))]
    #[oai(validator(minimum(value = "5"), maximum(value = "3600")))]
    #[serde(default, deserialize_with = "super::whole_number")]
    pub ttl_seconds: Option<i64>,
    /// Share of the requests relative to other instances, 1 to 1000. Default: 1.
    #[validate(range(min = 1, max = 1000, message = "must be 1 to 1000"))]
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    #[serde(default, deserialize_with = "super::whole_number")]
    pub weight: Option<i64>,
}

impl Example for RegisterInstance {
    fn example() -> Self {
        Self { url: Some("http://10.0.0.7:8001".into()), ttl_seconds: Some(30), weight: Some(1), port: None }
    }
}

impl TryFrom<RegisterInstance> for RegistrationRequest {
    type Error = FieldError;

    fn try_from(wire: RegisterInstance) -> Result<Self, FieldError> {
        let address = match (wire.url, wire.port) {
            (Some(url), None) => {
                let invalid = |invalid: InvalidInstanceUrl| FieldError::new("url", "url", invalid.to_string());
                InstanceAddress::Url(url.parse().map_err(invalid)?)
            }
            (None, Some(port)) => InstanceAddress::OfCaller { port: bounded("port", port)? },
            (None, None) => {
                let why = "is required; or send `port` to register the address that you call from";
                return Err(FieldError::new("url", "required", why));
            }
            (Some(_), Some(_)) => return Err(FieldError::new("port", "exclusive", "must not be sent with `url`")),
        };
        Ok(Self {
            address,
            weight: wire.weight.map_or(Ok(USUAL_WEIGHT), |weight| bounded("weight", weight))?,
            ttl: TimeDelta::seconds(i64::from(
                wire.ttl_seconds.map_or(Ok(USUAL_TTL_SECONDS), |seconds| bounded("ttl_seconds", seconds))?,
            )),
        })
    }
}

/// The bounds in the schema are narrower than those of the type.
fn bounded(field: &str, number: i64) -> Result<u16, FieldError> {
    number.try_into().map_err(|_| FieldError::new(field, "range", "must be in range"))
}

/// A registered instance and its lease.
#[derive(Debug, Object)]
pub struct InstanceLease {
    /// Id of the instance, for heartbeats and to deregister it.
    pub id: String,
    /// Name of the service.
    pub service: String,
    /// URL of the instance, in its canonical form.
    pub url: String,
    /// Share of the requests relative to other instances.
    pub weight: u16,
    /// Duration of the lease in seconds, counted from each heartbeat.
    pub ttl_seconds: i64,
    /// Time when the lease ends, unless a heartbeat extends it before.
    pub expires_at: DateTime<FixedOffset>,
}

impl InstanceLease {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(registered: &RegisteredInstance, timezone: Tz) -> Self {
        let RegisteredInstance { registration, expires_at } = registered;
        let Registration { id, service, url, weight, ttl } = registration;
        Self {
            id: id.to_string(),
            service: service.to_string(),
            url: url.to_string(),
            weight: *weight,
            ttl_seconds: ttl.num_seconds(),
            expires_at: local(*expires_at, timezone),
        }
    }
}

/// The instance is registered.
#[derive(Debug, ApiResponse)]
pub enum InstanceRegistered {
    /// The instance is new. `Location` is its path.
    #[oai(status = 201)]
    Added(Json<InstanceLease>, #[oai(header = "Location")] String),
    /// The instance was registered already. It keeps its id, and its lease begins anew.
    #[oai(status = 200)]
    Extended(Json<InstanceLease>),
}

impl InstanceRegistered {
    /// The instance is new, and at this path.
    pub fn added(lease: InstanceLease, path: String) -> Self {
        Self::Added(Json(lease), path)
    }

    /// The instance was known.
    pub fn extended(lease: InstanceLease) -> Self {
        Self::Extended(Json(lease))
    }
}

/// The instance is not registered any more.
#[derive(Debug, ApiResponse)]
pub enum InstanceDeregistered {
    /// The instance is not registered, or not any more.
    #[oai(status = 204)]
    Done,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::gateway::schemas::{converted, parse_json};

    fn read(json: &Value) -> Result<RegistrationRequest, Vec<(String, String)>> {
        let wire: RegisterInstance = parse_json(json.to_string().as_bytes()).unwrap();
        let named = |error: FieldError| (error.field, error.code);
        converted(wire).map_err(|problem| problem.errors.into_iter().map(named).collect())
    }

    #[test]
    fn an_instance_is_at_a_url_or_at_a_port_of_the_caller() {
        let at_url = read(&json!({"url": "http://10.0.0.7:8001", "ttl_seconds": 3600, "weight": 1000})).unwrap();
        assert_eq!(at_url.address, InstanceAddress::Url("http://10.0.0.7:8001".parse().unwrap()));
        assert_eq!((at_url.ttl, at_url.weight), (TimeDelta::hours(1), 1000));
        let at_port = read(&json!({"port": 65535, "url": null})).unwrap();
        assert_eq!(at_port.address, InstanceAddress::OfCaller { port: 65535 });
        assert_eq!((at_port.ttl, at_port.weight), (TimeDelta::seconds(30), 1));
    }

    #[test]
    fn each_mistake_names_its_field() {
        let url = "http://10.0.0.7:8001";
        for (json, field, code) in [
            (json!({}), "url", "required"),
            (json!({"url": url, "port": 1}), "port", "exclusive"),
            (json!({"url": ""}), "url", "length"),
            (json!({"url": "http://orders:8001"}), "url", "url"),
            (json!({"url": "srv+http://a"}), "url", "url"),
            (json!({"port": 0}), "port", "range"),
            (json!({"port": 65536}), "port", "range"),
            (json!({"url": url, "ttl_seconds": 4}), "ttl_seconds", "range"),
            (json!({"url": url, "ttl_seconds": 3601}), "ttl_seconds", "range"),
            (json!({"url": url, "weight": 0}), "weight", "range"),
            (json!({"url": url, "weight": 1001}), "weight", "range"),
        ] {
            assert_eq!(read(&json), Err(vec![(field.to_owned(), code.to_owned())]), "{json}");
        }
    }
}
