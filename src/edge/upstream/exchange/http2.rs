//! One request and its response on an HTTP/2 stream to a service, driven by the task that waits for the response. The
//! exchange owns both directions: when the response ends, or the exchange is dropped, the stream is reset unless the
//! whole request was sent, and the request's body is released.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{Request, StatusCode};
use http_body::{Body, Frame};

use crate::edge::{
    body::request_body::RequestBody,
    error::Failure,
    http::message::BodyLength,
    http1::response_head::{BadResponseHead, ResponseHead},
    http2::{body::Http2Body, validate::are_malformed},
    timer::deadlines::Waiting,
    upstream::pool::http2::Stream,
};

/// One request and its response on an HTTP/2 stream.
pub(crate) struct Http2Exchange {
    upload: Upload,
    response: Http2Body,
    /// The stream on the connection. `None` after it was given back at the end of the response.
    stream: Option<Stream>,
}

impl Http2Exchange {
    /// Sends a request and waits for the head of its response, until `waiting` is over.
    pub(crate) async fn begin(
        stream: Stream,
        request: Request<RequestBody>,
        is_head: bool,
        mut waiting: Waiting,
    ) -> Result<(ResponseHead, BodyLength, Box<Self>), Failure> {
        let (parts, body) = request.into_parts();
        let progress = body.share();
        let has_ended = body.is_end_stream();
        let mut requests = stream.requests();
        // If the connection takes no more streams, it has not begun this one.
        let sent = requests.send_request(Request::from_parts(parts, ()), has_ended);
        let (response, sender) = sent.map_err(|_| Failure::Refused)?;
        let id = response.stream_id().as_u32();
        let trailers = stream.expect_trailers(id);
        let mut upload = if has_ended { Upload::Ended } else { Upload::Open { stream: sender, body, part: None } };
        let mut response = pin!(response);
        // While the service allows no more streams, this one waits, and its body is not read.
        let mut is_open = has_ended;
        let answered = std::future::poll_fn(|context| {
            is_open = is_open || matches!(requests.poll_ready(context), Poll::Ready(Ok(())));
            if is_open && let Poll::Ready(Err(failure)) = upload.poll(context) {
                return Poll::Ready(Err(failure));
            }
            if let Poll::Ready(response) = response.as_mut().poll(context) {
                return Poll::Ready(response.map_err(|error| failure_of(&error, stream.is_suspect(id))));
            }
            waiting.poll(|| progress.service_awaited_since(), context).map(|()| Err(Failure::ResponseTimeout))
        });
        let response = answered.await.inspect_err(|failure| {
            if *failure == Failure::ResponseTimeout {
                stream.quarantine();
            }
        })?;
        // A stream cannot switch protocols (RFC 9113 §8.6).
        if response.status() == StatusCode::SWITCHING_PROTOCOLS || are_malformed(response.headers()) {
            return Err(Failure::BadResponse);
        }
        let (parts, response) = response.into_parts();
        let head = ResponseHead::of_stream(parts);
        let length =
            head.length_on_stream(is_head, response.is_end_stream()).map_err(|BadResponseHead| Failure::BadResponse)?;
        let mut response = Http2Body::new(response, trailers);
        response.expect(length);
        Ok((head, length, Box::new(Self { upload, response, stream: Some(stream) })))
    }

    /// Whether all of the response was read.
    pub(crate) fn is_answered(&self) -> bool {
        self.stream.is_none() || self.response.is_end_stream()
    }

    /// Whether some of the request is still to be sent.
    pub(crate) fn is_uploading(&self) -> bool {
        matches!(self.upload, Upload::Open { .. })
    }

    /// Ends the exchange after the response was read: the unsent rest of the request is no longer sent.
    pub(crate) fn give_back(&mut self) {
        self.upload.reset();
        drop(self.stream.take());
    }

    /// The next part of the response's body.
    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.stream.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Err(_)) = self.poll_upload(context) {
            return Poll::Ready(Some(Err(super::request_broke_off())));
        }
        Pin::new(&mut self.response).poll_frame(context)
    }

    /// Sends as much of the request as is available and as the service takes; ready when all was sent, or no more will
    /// be.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.upload.poll(context)
    }
}

/// The state of sending the request's body.
enum Upload {
    Open {
        stream: SendStream<Bytes>,
        body: RequestBody,
        /// Read from the client, but not taken by the service yet; the flag says whether it is the last.
        part: Option<(Bytes, bool)>,
    },
    /// All of it was sent, or the service takes no more. A response that it sent before that can still be read.
    Ended,
}

impl Upload {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Self::Open { stream, body, part } = self else { return Poll::Ready(Ok(())) };
        let outcome = match ready!(poll_send(stream, body, part, context)) {
            Sent::All | Sent::Refused => Ok(()),
            Sent::Broken => {
                stream.send_reset(Reason::CANCEL);
                Err(body.failure().unwrap_or(Failure::BodyBroken))
            }
        };
        *self = Self::Ended;
        Poll::Ready(outcome)
    }

    fn reset(&mut self) {
        if let Self::Open { stream, .. } = self {
            stream.send_reset(Reason::CANCEL);
        }
        *self = Self::Ended;
    }
}

/// The result of sending a body.
enum Sent {
    All,
    /// The service takes no more of it.
    Refused,
    /// The client did not send all of it.
    Broken,
}

fn poll_send(
    stream: &mut SendStream<Bytes>,
    body: &mut RequestBody,
    part: &mut Option<(Bytes, bool)>,
    context: &mut Context<'_>,
) -> Poll<Sent> {
    if stream.poll_reset(context).is_ready() {
        return Poll::Ready(Sent::Refused);
    }
    loop {
        while part.is_some() && stream.capacity() == 0 {
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Sent::Refused),
            }
        }
        if let Some((data, is_last)) = part.take() {
            match stream.send_data(data, is_last) {
                Ok(()) if is_last => return Poll::Ready(Sent::All),
                Ok(()) => {}
                Err(_) => return Poll::Ready(Sent::Refused),
            }
        }
        let sent = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => stream.send_data(Bytes::new(), true),
            Some(Err(_)) => return Poll::Ready(Sent::Broken),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => continue,
                Ok(data) => {
                    // Capacity for the rest is requested when it is sent: a stream with nothing to send holds none of
                    // the connection's window.
                    stream.reserve_capacity(1);
                    *part = Some((data, body.is_end_stream()));
                    continue;
                }
                Err(frame) => stream.send_trailers(frame.into_trailers().unwrap_or_default()),
            },
        };
        return Poll::Ready(if sent.is_ok() { Sent::All } else { Sent::Refused });
    }
}

/// The failure without a response; `is_suspect` is whether this stream may be the reason why the connection was closed.
fn failure_of(error: &h2::Error, is_suspect: bool) -> Failure {
    match error.reason() {
        // RFC 9113 §8.7: neither was processed.
        Some(Reason::REFUSED_STREAM) if error.is_remote() => Failure::Refused,
        Some(Reason::NO_ERROR) if error.is_remote() && error.is_go_away() => Failure::Refused,
        // Another response violated the protocol, and the connection is closed for that: this response was merely lost.
        Some(_) if error.is_library() && error.is_go_away() && !is_suspect => Failure::HungUp,
        Some(_) if error.is_library() => Failure::BadResponse,
        Some(_) | None => Failure::HungUp,
    }
}
