//! The messages in the pipeline, independent of the HTTP version on either side.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header::CONTENT_LENGTH, request::Parts,
};
use http_body::Body;

use super::header_list::HeaderList;

/// The length of a message's body (RFC 9112 §6.3). It is parsed from the head once and written again into each head
/// that goes out: a received `Content-Length` is never passed on, so both sides end the message at the same byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BodyLength {
    /// There is no body, and the head does not mention one.
    #[default]
    None,
    /// The body has this many bytes.
    Known(u64),
    /// The body marks its own end.
    Unknown,
    /// There is no body, but the head says how long it would be (RFC 9110 §8.6): the response to a `HEAD`, or a 304.
    Announced(u64),
}

impl BodyLength {
    /// The length of a body that the gateway made itself.
    fn of<B: Body>(body: &B) -> Self {
        match body.size_hint().exact() {
            Some(0) => Self::None,
            Some(length) => Self::Known(length),
            None => Self::Unknown,
        }
    }

    /// The value for `Content-Length`.
    pub(crate) fn header(self) -> Option<u64> {
        match self {
            Self::Known(length) | Self::Announced(length) => Some(length),
            Self::None | Self::Unknown => None,
        }
    }

    /// The number of bytes that the body must have; `None` if any number is valid.
    pub(crate) fn expected(self) -> Option<u64> {
        match self {
            Self::Known(length) => Some(length),
            Self::None | Self::Announced(_) => Some(0),
            Self::Unknown => None,
        }
    }

    /// Adds `Content-Length` to headers that have none.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        if let Some(length) = self.header() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
}

/// A request without its body.
#[derive(Debug, Default)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// The version of the received message.
    pub(crate) version: Version,
    pub(crate) headers: HeaderList,
    pub(crate) length: BodyLength,
}

/// A response on its way to the client.
#[derive(Debug)]
pub(crate) struct FramedResponse<B> {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderList,
    pub(crate) length: BodyLength,
    pub(crate) body: B,
}

impl RequestHead {
    /// Adds a body to the request, for code that uses the types of `http`.
    pub(crate) fn with_body<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.into();
        self.length.add_to(request.headers_mut());
        request
    }
}

impl From<Parts> for RequestHead {
    /// The head of an HTTP/2 request. Its headers still have to be validated, and its length is unknown before that.
    fn from(parts: Parts) -> Self {
        let Parts { method, uri, version, headers, .. } = parts;
        Self { method, uri, version, headers: headers.into(), length: BodyLength::default() }
    }
}

impl<B: Body> FramedResponse<B> {
    /// A response of the gateway itself, without headers.
    pub(crate) fn new(status: StatusCode, body: B) -> Self {
        Self { status, headers: HeaderList::default(), length: BodyLength::of(&body), body }
    }
}

impl<B> FramedResponse<B> {
    /// Replaces the body.
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> FramedResponse<C> {
        FramedResponse { status: self.status, headers: self.headers, length: self.length, body: change(self.body) }
    }
}

impl<B> From<FramedResponse<B>> for Response<B> {
    fn from(framed: FramedResponse<B>) -> Self {
        let mut response = Self::new(framed.body);
        *response.status_mut() = framed.status;
        *response.headers_mut() = framed.headers.into();
        framed.length.add_to(response.headers_mut());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_length_is_distinguished_from_an_expected_one() {
        for (length, said, expected) in [
            (BodyLength::None, None, Some(0)),
            (BodyLength::Known(0), Some(0), Some(0)),
            (BodyLength::Known(5), Some(5), Some(5)),
            (BodyLength::Unknown, None, None),
            (BodyLength::Announced(5), Some(5), Some(0)),
        ] {
            assert_eq!((length.header(), length.expected()), (said, expected), "{length:?}");
            let request = RequestHead { length, ..RequestHead::default() }.with_body(());
            let written = request.headers().get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned());
            assert_eq!(written, said.map(|length| length.to_string()));
        }
    }

    #[test]
    fn the_length_of_our_own_body_is_known() {
        let of = |text: &'static str| FramedResponse::new(StatusCode::OK, text.to_owned()).length;
        assert_eq!((of(""), of("abc")), (BodyLength::None, BodyLength::Known(3)));
    }

    #[test]
    fn a_request_over_http2_is_taken_unchanged() {
        let request = Request::put("http://a/b?c").version(Version::HTTP_2).header("x", "1").body(()).unwrap();
        let head = RequestHead::from(request.into_parts().0);
        assert_eq!(
            (head.method, head.version, head.uri.to_string()),
            (Method::PUT, Version::HTTP_2, "http://a/b?c".into())
        );
        assert!(head.headers.len() == 1 && head.length == BodyLength::None);
    }
}
