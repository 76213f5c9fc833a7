//! Both ends of one connection, and of one exchange on it.
//!
//! Two sockets are ends of one connection if each has what the other looks for, and both existed at one time:
//!
//! * both initial sequence numbers, swapped: across network namespaces and address translation too. Where
//!   both ends know theirs and they differ, nothing else makes them a pair: addresses are used again;
//! * within a network namespace, both addresses, swapped;
//! * Unix: each other's socket.
//!
//! Two exchanges on such a pair are one if their requests start at the same stream position, which both ends
//! count from the first byte of the connection. Where one of them cannot (an old connection without sequence
//! numbers), there is no link: counting requests instead would be off by one for ever if one was missed.

use core::net::SocketAddr;

use rustc_hash::FxHashMap;

use crate::{
    event::Endpoint,
    exchange::{Exchange, Key, Socket, Table},
};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Sequence(u32, u32),
    Address(u32, SocketAddr, SocketAddr),
    Sock(u64),
    PeerSock(u64),
}

#[derive(Default)]
pub(crate) struct Peers {
    names: FxHashMap<Name, Key<Socket>>,
    starts: FxHashMap<(Key<Socket>, u64), Key<Exchange>>,
}

impl Peers {
    /// Makes a socket known, again if more became known of it. Returns its peer if it has just been found.
    pub(crate) fn introduce(&mut self, sockets: &mut Table<Socket>, key: Key<Socket>) -> Option<Key<Socket>> {
        let (own, sought, found) = {
            let socket = sockets.get(key)?;
            (own_names(socket), sought_names(socket), socket.peer.is_some())
        };
        for name in own.into_iter().flatten() {
            if let Some(former) = self.names.insert(name, key).filter(|former| *former != key) {
                supersede(sockets, former, key);
            }
        }
        if found {
            return None;
        }
        let socket = sockets.get(key)?;
        let peer = sought.into_iter().flatten().filter_map(|name| self.names.get(&name).copied()).find(|peer| {
            *peer != key && sockets.get(*peer).is_some_and(|peer| peer.peer.is_none() && are_ends(socket, peer))
        })?;
        sockets.get_mut(key)?.peer = Some(peer);
        sockets.get_mut(peer)?.peer = Some(key);
        Some(peer)
    }

    /// The socket is about to be removed.
    pub(crate) fn forget(&mut self, sockets: &mut Table<Socket>, key: Key<Socket>) {
        let Some(socket) = sockets.get(key) else { return };
        for name in own_names(socket).into_iter().flatten() {
            if self.names.get(&name) == Some(&key) {
                self.names.remove(&name);
            }
        }
        unpair(sockets, key);
    }

    /// A request starts here. Returns the exchange at the other end, if that has been seen.
    pub(crate) fn started(
        &mut self,
        sockets: &Table<Socket>,
        key: Key<Socket>,
        position: u64,
        exchange: Key<Exchange>,
    ) -> Option<Key<Exchange>> {
        let socket = sockets.get(key).filter(|socket| socket.true_positions)?;
        self.starts.insert((key, position), exchange);
        self.at(socket.peer?, position)
    }

    /// The exchange whose request starts here.
    pub(crate) fn at(&self, socket: Key<Socket>, position: u64) -> Option<Key<Exchange>> {
        self.starts.get(&(socket, position)).copied()
    }

    pub(crate) fn released(&mut self, socket: Key<Socket>, position: u64, exchange: Key<Exchange>) {
        if self.at(socket, position) == Some(exchange) {
            self.starts.remove(&(socket, position));
        }
    }
}

fn own_names(socket: &Socket) -> [Option<Name>; 3] {
    let sequence = socket.sequence.map(|(sent, received)| Name::Sequence(sent, received));
    match (&socket.local, &socket.remote) {
        (Some(Endpoint::Ip(local)), Some(Endpoint::Ip(remote))) => {
            [sequence, Some(Name::Address(socket.netns, *local, *remote)), None]
        }
        (Some(Endpoint::Unix(_)), _) => {
            [Some(Name::Sock(socket.id.sock)), socket.peer_sock.map(Name::PeerSock), None]
        }
        _ => [sequence, None, None],
    }
}

fn sought_names(socket: &Socket) -> [Option<Name>; 3] {
    let sequence = socket.sequence.map(|(sent, received)| Name::Sequence(received, sent));
    match (&socket.local, &socket.remote) {
        (Some(Endpoint::Ip(local)), Some(Endpoint::Ip(remote))) => {
            [sequence, Some(Name::Address(socket.netns, *remote, *local)), None]
        }
        (Some(Endpoint::Unix(_)), _) => {
            [socket.peer_sock.map(Name::Sock), Some(Name::PeerSock(socket.id.sock)), None]
        }
        _ => [sequence, None, None],
    }
}

fn are_ends(one: &Socket, other: &Socket) -> bool {
    let sequences = match (one.sequence, other.sequence) {
        (Some((sent, received)), Some(other)) => other == (received, sent),
        _ => true,
    };
    let peer_is = |peer: Option<u64>, other: &Socket| peer.is_none_or(|peer| peer == other.id.sock);
    sequences && one.overlaps(other) && peer_is(one.peer_sock, other) && peer_is(other.peer_sock, one)
}

/// A name is in use by one socket at a time: the former one is gone, even if its end was not seen.
fn supersede(sockets: &mut Table<Socket>, former: Key<Socket>, by: Key<Socket>) {
    let Some(opened) = sockets.get(by).map(|socket| socket.opened) else { return };
    let Some(socket) = sockets.get_mut(former) else { return };
    if socket.closed.is_none() {
        socket.closed = Some(opened.saturating_sub(1));
        // Its peer may have been the newcomer's all along.
        if socket.sequence.is_none() {
            unpair(sockets, former);
        }
    }
}

fn unpair(sockets: &mut Table<Socket>, key: Key<Socket>) {
    let peer = sockets.get_mut(key).and_then(|socket| socket.peer.take());
    if let Some(peer) = peer.and_then(|peer| sockets.get_mut(peer))
        && peer.peer == Some(key)
    {
        peer.peer = None;
    }
}
