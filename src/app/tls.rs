//! TLS with clients and with services: watches the files, and uses the newest valid ones.

pub(super) mod certificate;
pub(super) mod service_tls;
