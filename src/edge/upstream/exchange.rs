//! One request and its response on a connection to a service.

pub(crate) mod http1;
pub(crate) mod http2;

use std::io;

/// The error of a response whose request broke off.
fn request_broke_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the request broke off during the response")
}

/// Whether a response ended because its request broke off: that is not the service's failure.
pub(crate) fn is_the_requests(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionAborted && error.raw_os_error().is_none()
}
