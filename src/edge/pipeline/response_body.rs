//! A response's body on its way to the client: streamed with back-pressure and never stored. Trailers are forwarded,
//! except those that could pass for headers of the gateway.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::encoding::Encoding;
use crate::edge::{
    http::{
        message::{BodyLength, FramedResponse},
        sanitize::forwardable,
    },
    observe::access_log::Record,
    ports,
    timer::stream_guard::Guard,
    upstream::{response_body::UpstreamBody, upgrade::tunnel::Tunnel},
};

/// A response on its way to the client.
pub(crate) type Response = FramedResponse<ResponseBody>;

/// A response's body on its way to the client. When it has ended, or is dropped because the client is gone, the request
/// is logged.
pub(crate) struct ResponseBody {
    content: Content,
    /// How it is compressed, if it is.
    encoding: Option<Box<Encoding>>,
    record: Option<Box<Record>>,
}

enum Content {
    Whole(Bytes),
    Own(ports::Body),
    Upstream(Guard, UpstreamBody),
    /// No body: after a 101 the connection becomes this tunnel.
    Switched(Option<Box<Tunnel>>),
}

impl Content {
    /// The next frame, without trailers that may not be forwarded.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            let frame = match self {
                Self::Whole(bytes) if bytes.is_empty() => None,
                Self::Whole(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
                Self::Own(body) => ready!(Pin::new(body).poll_frame(context)),
                Self::Upstream(guard, body) => ready!(body.poll_guarded(guard, context)),
                Self::Switched(_) => None,
            };
            match frame {
                Some(Ok(trailers)) if trailers.is_trailers() => {
                    if let Some(trailers) = forwardable(trailers) {
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                }
                other => return Poll::Ready(other),
            }
        }
    }
}

impl ResponseBody {
    fn new(content: Content) -> Self {
        Self { content, encoding: None, record: None }
    }

    /// A body that is complete already.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::new(Content::Whole(bytes))
    }

    /// The body of a response of the control plane.
    pub(crate) fn own(body: ports::Body) -> Self {
        Self::new(Content::Own(body))
    }

    /// Compresses the body from here on; nothing of it was sent yet.
    pub(crate) fn encode(&mut self, encoding: Box<Encoding>) {
        self.encoding = Some(encoding);
    }

    /// Removes the body of the response to a `HEAD`: its head describes a body, which is not sent (RFC 9110 §9.3.2).
    pub(crate) fn withheld(response: &mut Response) {
        response.length = response.length.header().map_or(BodyLength::None, BodyLength::Announced);
        let body = &mut response.body;
        if matches!(body.content, Content::Whole(_) | Content::Own(_)) {
            body.content = Content::Whole(Bytes::new());
            body.note_end();
        }
    }

    /// Takes the tunnel that the connection becomes, if this is the body of a 101.
    pub(crate) fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        let Content::Switched(tunnel) = &mut self.content else { return None };
        let mut tunnel = tunnel.take()?;
        if let Some(record) = self.record.take() {
            tunnel.record(record);
        }
        Some(tunnel)
    }

    /// Logs `record` when the body has ended.
    pub(crate) fn record(&mut self, record: Box<Record>) {
        self.record = Some(record);
        self.note_end();
    }

    /// Counts bytes of the body that were passed to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        if let Some(record) = &self.record {
            record.sent(bytes);
        }
    }

    /// Records that all of the response was passed to the client.
    pub(crate) fn complete(&mut self) {
        if let Some(record) = &mut self.record {
            record.complete();
        }
    }

    /// Whether some of the request's body is still to be sent to the service.
    pub(crate) fn is_uploading(&self) -> bool {
        match &self.content {
            Content::Upstream(_, body) => body.is_uploading(),
            Content::Whole(_) | Content::Own(_) | Content::Switched(_) => false,
        }
    }

    /// Continues the client's upload while the client does not take more of the response. Returns whether more may
    /// follow.
    pub(crate) fn go_on_uploading(&mut self, context: &mut Context<'_>) -> bool {
        if let Content::Upstream(_, body) = &mut self.content {
            // The next poll of the response reports a failure.
            let _ = body.poll_upload(context);
        }
        self.is_uploading()
    }

    /// The guard of a service's response.
    pub(crate) fn guard(&mut self) -> Option<&mut Guard> {
        match &mut self.content {
            Content::Upstream(guard, _) => Some(guard),
            Content::Whole(_) | Content::Own(_) | Content::Switched(_) => None,
        }
    }

    /// Whether the response must not go on, while its client does not take more of it. Wakes the task when that
    /// changes.
    pub(crate) fn is_over(&self, context: &Context<'_>) -> bool {
        match &self.content {
            Content::Upstream(guard, _) => guard.poll_end_reason(context.waker()).is_some(),
            Content::Whole(_) | Content::Own(_) | Content::Switched(_) => false,
        }
    }

    /// Records the end as soon as it is known, before the next poll.
    fn note_end(&mut self) {
        if self.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Content::Upstream(_, body) = &mut self.content {
            body.give_back();
        }
        if let Some(record) = &mut self.record {
            record.upload_ended();
        }
    }
}

impl From<(UpstreamBody, Guard)> for ResponseBody {
    /// The body of a service's response; the guard ends the wait for it.
    fn from((body, guard): (UpstreamBody, Guard)) -> Self {
        let mut body = Self::new(Content::Upstream(guard, body));
        body.note_end();
        body
    }
}

impl From<Tunnel> for ResponseBody {
    /// The tunnel after a 101.
    fn from(tunnel: Tunnel) -> Self {
        Self::new(Content::Switched(Some(Box::new(tunnel))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let frame = ready!(match &mut this.encoding {
            None => this.content.poll_frame(context),
            Some(encoding) => encoding.poll(context, |context| this.content.poll_frame(context)),
        });
        match &frame {
            None => this.end(),
            Some(Ok(_)) => this.note_end(),
            Some(Err(error)) => {
                if let Some(record) = &mut this.record {
                    record.break_off(error);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        if let Some(encoding) = &self.encoding {
            return encoding.is_over();
        }
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Own(body) => body.is_end_stream(),
            Content::Upstream(_, body) => body.is_end_stream(),
            Content::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.encoding.is_some() {
            return SizeHint::default();
        }
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Own(body) => body.size_hint(),
            Content::Upstream(_, body) => body.size_hint(),
            Content::Switched(_) => SizeHint::with_exact(0),
        }
    }
}
