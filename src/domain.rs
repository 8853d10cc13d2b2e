//! What the gateway is about, free of the transport that carries it.

pub mod gateway;
