//! A client's socket as hyper sees it. hyper is handed whole heads only, and only such as were found good: a refused one is
//! replaced by a request of our own making, which the pipeline answers with the reason and a closed connection. So every
//! refusal is a problem document with a request id, and nothing of the refused bytes is ever parsed twice.
//!
//! What follows a request for an upgrade is handed to nobody until the request is answered. After a 101 nobody reads through
//! here any more: the socket is taken apart.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frames::{Frames, PREFACE},
    framing::{BadChunk, Fault, Framing},
    upgrade::Switch,
    watchdog::Vitals,
};

/// The method of the request that hyper reads in place of a refused head.
pub(super) const REFUSED_METHOD: &str = "REFUSED";

/// That request.
const REFUSED: &[u8] = b"REFUSED / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// After the last answer the rest of what the client sends is read and thrown away for a while: closing with unread bytes
/// makes the kernel send a reset, which can overtake the answer (RFC 9112 §9.6).
const LINGER_BYTES: usize = 1024 * 1024;

/// How much of what follows a request for an upgrade is read before the answer: enough for a head. Nobody has a reason to send
/// more, and the rest waits where it is.
const MAX_UNDECIDED_BYTES: usize = 16 * 1024;

/// As much as is read before it is clear which protocol the client speaks: as much as hyper reads at first.
const FIRST_READ_BYTES: usize = 8 * 1024;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 or HTTP/1.1, or nothing that is known.
    Http1,
    /// HTTP/2.
    Http2,
}

/// See the module. `S` is a TCP connection, or one with TLS on it.
pub(super) struct ClientSocket<S> {
    stream: S,
    vitals: Rc<Vitals>,
    switch: Rc<Switch>,
    framing: Framing,
    /// Followed instead of `framing` if the client speaks HTTP/2; heads are judged behind hyper then.
    frames: Option<Frames>,
    /// The beginning of a head that is not whole yet, or what nobody knows yet what it is.
    held: Vec<u8>,
    /// Bytes for hyper that did not come from the socket just now.
    ready: Bytes,
    refused: bool,
    /// The body is malformed from here on: told when what came before it was handed on.
    broken: Option<BadChunk>,
    /// How many bytes were thrown away since our side was closed, once it was.
    lingered: Option<usize>,
    is_shut: bool,
}

impl<S: AsyncRead + Unpin> ClientSocket<S> {
    pub(super) fn new(stream: S, vitals: Rc<Vitals>, switch: Rc<Switch>) -> Self {
        Self {
            stream,
            vitals,
            switch,
            framing: Framing::default(),
            frames: None,
            held: Vec::new(),
            ready: Bytes::new(),
            refused: false,
            broken: None,
            lingered: None,
            is_shut: false,
        }
    }

    /// The socket itself, and what was read from it and handed to nobody.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
    }

    /// What the client speaks, by the first bytes it sends. They are kept for hyper: nothing is read twice.
    pub(super) fn poll_protocol(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        loop {
            let known = self.held.len().min(PREFACE.len());
            if self.held[..known] != PREFACE[..known] {
                let fault = self.judge_held();
                self.take_note_of(fault);
                return Poll::Ready(Ok(Protocol::Http1));
            }
            if known == PREFACE.len() {
                let mut frames = Frames::new();
                frames.follow(&self.held);
                self.vitals.speaks_http2(frames.in_head());
                self.frames = Some(frames);
                self.ready = std::mem::take(&mut self.held).into();
                return Poll::Ready(Ok(Protocol::Http2));
            }
            let mut scratch = [std::mem::MaybeUninit::uninit(); FIRST_READ_BYTES];
            let mut buf = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.held.extend_from_slice(buf.filled());
        }
    }

    /// Takes note of what was just read into `buf` behind `before`, and leaves there what hyper may have.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        if self.framing.in_body() {
            self.vitals.body_came(true);
        }
        let fault = if self.held.is_empty() {
            let new = &buf.filled()[before..];
            let (passed, fault) = self.framing.follow(new);
            if fault.is_none() {
                self.held.extend_from_slice(&new[passed..]);
            }
            buf.set_filled(before + passed);
            fault
        } else {
            self.held.extend_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            self.judge_held()
        };
        self.take_note_of(fault);
    }

    /// Hands on as much of what was held back as may be.
    fn judge_held(&mut self) -> Option<Fault> {
        let (passed, fault) = self.framing.follow(&self.held);
        let rest = self.held.split_off(passed);
        self.ready = std::mem::replace(&mut self.held, rest).into();
        fault
    }

    fn take_note_of(&mut self, fault: Option<Fault>) {
        match fault {
            None if self.held.is_empty() => {}
            None => self.vitals.head_begun(),
            Some(Fault::Head(bad)) => {
                self.vitals.refuse(bad);
                self.refused = true;
                self.held = Vec::new();
                self.ready = if self.ready.is_empty() {
                    Bytes::from_static(REFUSED)
                } else {
                    [&self.ready[..], REFUSED].concat().into()
                };
            }
            Some(Fault::Body(bad)) => self.broken = Some(bad),
        }
    }

    /// Holds what comes before it is known what it is. Ready when the client has closed its side.
    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [std::mem::MaybeUninit::uninit(); 4096];
        while self.held.len() < MAX_UNDECIDED_BYTES {
            let mut buf = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(buf.filled());
        }
        // Whoever decides wakes the connection.
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientSocket<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            if !this.ready.is_empty() {
                let length = this.ready.len().min(buf.remaining());
                buf.put_slice(&this.ready[..length]);
                this.ready.advance(length);
                return Poll::Ready(Ok(()));
            }
            if let Some(bad) = this.broken {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, bad)));
            }
            if this.refused {
                // Nothing behind a refused head is read. Nobody needs to be woken: the refusal is the last answer.
                return Poll::Pending;
            }
            if this.framing.is_undecided() {
                if !this.switch.stays_http() {
                    return this.poll_hold(context);
                }
                this.framing.stay_http();
                let fault = this.judge_held();
                this.take_note_of(fault);
                continue;
            }
            match Pin::new(&mut this.stream).poll_read(context, buf) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => {
                    if let Some(frames) = &this.frames {
                        this.vitals.fell_silent(frames.in_body());
                    } else if this.framing.in_body() {
                        this.vitals.body_came(false);
                    }
                    return Poll::Pending;
                }
            }
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            if let Some(frames) = &mut this.frames {
                frames.follow(&buf.filled()[before..]);
                this.vitals.spoke(frames.in_head());
                return Poll::Ready(Ok(()));
            }
            this.inspect(buf, before);
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientSocket<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.vitals.client_read(outcome.is_ready());
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.vitals.client_read(outcome.is_ready());
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_shut {
            return Poll::Ready(Ok(()));
        }
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if this.frames.is_none() && !this.refused && !this.framing.in_body() && this.held.is_empty() {
                this.is_shut = true;
                return Poll::Ready(Ok(()));
            }
            // The watchdog ends the wait for a client that does not close its side.
            this.vitals.said_goodbye();
        }
        let lingered = this.lingered.get_or_insert(0);
        let mut scratch = [std::mem::MaybeUninit::uninit(); 4096];
        while *lingered < LINGER_BYTES {
            let mut buf = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *lingered += buf.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        this.is_shut = true;
        Poll::Ready(Ok(()))
    }
}
