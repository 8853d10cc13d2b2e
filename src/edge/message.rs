//! The messages that go through the pipeline, whatever version of HTTP they came in and go out in.

use http::{Method, Request, Response, StatusCode, Uri, Version, request::Parts};

use super::{body::AnswerBody, header_list::HeaderList};

/// A request without its body.
#[derive(Debug, Default)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// In which it came.
    pub(super) version: Version,
    pub(super) headers: HeaderList,
}

/// An answer on its way to the client.
#[derive(Debug)]
pub(super) struct Answer<B = AnswerBody> {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderList,
    pub(super) body: B,
}

impl RequestHead {
    /// The request with a body, for whoever wants the types of `http`.
    pub(super) fn with_body<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.into();
        request
    }
}

impl From<Parts> for RequestHead {
    fn from(parts: Parts) -> Self {
        let Parts { method, uri, version, headers, .. } = parts;
        Self { method, uri, version, headers: headers.into() }
    }
}

impl<B> Answer<B> {
    /// One without headers.
    pub(super) fn new(status: StatusCode, body: B) -> Self {
        Self { status, headers: HeaderList::default(), body }
    }

    /// The same with another body.
    pub(super) fn map<C>(self, change: impl FnOnce(B) -> C) -> Answer<C> {
        Answer { status: self.status, headers: self.headers, body: change(self.body) }
    }
}

impl<B> From<Answer<B>> for Response<B> {
    fn from(answer: Answer<B>) -> Self {
        let mut response = Self::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers.into();
        response
    }
}
