//! The life of the data plane, from its start to its end.

/// A phase of the data plane's life. One follows the other; `Leaving` may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Clients are served.
    Serving,
    /// Clients are served, new ones too, and are told that their connections end: a balancer in front learns only at its
    /// next probe that it should send no more.
    Leaving,
    /// Nothing is accepted any more; requests in progress may end.
    Stopped,
}
