//! Names of headers that are in no standard.

use http::HeaderName;

/// `X-User-Id`
pub(crate) const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// `X-User-Scope`
pub(crate) const X_USER_SCOPE: HeaderName = HeaderName::from_static("x-user-scope");
/// `X-User-Email`
pub(crate) const X_USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
/// `X-Gateway-Assertion`
pub(crate) const X_GATEWAY_ASSERTION: HeaderName = HeaderName::from_static("x-gateway-assertion");
/// `X-Real-IP`
pub(crate) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// `X-Request-Id`
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `X-Forwarded-For`
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Prefix`
pub(crate) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
