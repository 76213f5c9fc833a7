//! One end of a connection, as far as exchanges and links care: who is at it, and what is open on it.

use core::net::IpAddr;

use smallvec::SmallVec;

use super::{Exchange, Key};
use crate::{
    event::{ConnectionId, Endpoint, Open, Time},
    protocol::Number,
};

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: ConnectionId,
    pub(crate) opened: Time,
    pub(crate) closed: Option<Time>,
    pub(crate) netns: u32,
    /// Unknown if the open record was lost.
    pub(crate) local: Option<Endpoint>,
    pub(crate) remote: Option<Endpoint>,
    pub(crate) sequence: Option<(u32, u32)>,
    pub(crate) peer_sock: Option<u64>,
    /// Position 0 is the first byte of the connection, so that both ends count alike.
    pub(crate) true_positions: bool,
    /// It belongs to this program: what is at its other end is excluded.
    pub(crate) own: bool,
    pub(crate) excluded: bool,
    /// The other end, if it is on this host.
    pub(crate) peer: Option<Key<Socket>>,
    /// Exchanges that have not ended, in order of appearance.
    pub(crate) open: SmallVec<[(Number, Key<Exchange>); 2]>,
    /// Exchanges that are open or wait.
    pub(crate) held: u32,
    /// The remote address as text, made once.
    pub(crate) remote_text: Option<Box<str>>,
    /// Whom a proxy in front says it speaks for (PROXY protocol).
    pub(crate) proxied: Option<IpAddr>,
    /// Used since the eviction rule last passed by.
    pub(crate) used: bool,
}

impl Socket {
    /// Nothing is known of a connection whose open record was lost.
    pub(crate) fn unknown(id: ConnectionId, now: Time) -> Self {
        Self {
            id,
            opened: now,
            closed: None,
            netns: 0,
            local: None,
            remote: None,
            sequence: None,
            peer_sock: None,
            true_positions: false,
            own: false,
            excluded: false,
            peer: None,
            open: SmallVec::new(),
            held: 0,
            remote_text: None,
            proxied: None,
            used: true,
        }
    }

    /// Takes what an open record says; a later one may know more.
    pub(crate) fn update(&mut self, open: &Open, own: bool) {
        self.opened = self.opened.min(open.time);
        self.netns = open.netns;
        self.local = Some(open.local.clone());
        self.remote = Some(open.remote.clone());
        self.remote_text = None;
        self.sequence = open.sequence.or(self.sequence);
        self.peer_sock = open.peer_sock.or(self.peer_sock);
        self.true_positions |= open.from_opening || open.sequence.is_some();
        self.own |= own;
    }

    /// Both existed at some moment: the addresses of a connection that is gone may be used again.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.closed.is_none_or(|closed| closed >= other.opened)
            && other.closed.is_none_or(|closed| closed >= self.opened)
    }

    /// The newest open exchange of this number.
    pub(crate) fn exchange(&self, number: Number) -> Option<Key<Exchange>> {
        self.open.iter().rev().find(|(open, _)| *open == number).map(|(_, key)| *key)
    }

    pub(crate) fn forget(&mut self, exchange: Key<Exchange>) {
        if let Some(index) = self.open.iter().position(|(_, key)| *key == exchange) {
            self.open.remove(index);
        }
    }
}
