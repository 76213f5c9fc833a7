//! The load of a pair, made small: for captures.

use super::{Pair, Peer};
use crate::{process::Process, wait::LONG};

/// Unary calls; a tenth as many of each streaming kind.
const CALLS: &str = "10";

impl Pair {
    /// A pair whose client makes the calls of `load`, but few of them.
    pub fn few(peer: Peer, service: &str) -> Self {
        let (server, port) = peer.serve(service);
        let mut command = peer.command();
        let arguments = ["client", &port.to_string(), service, "load"];
        let mut client = Process::start("gRPC client", command.args(arguments).env("CALLS", CALLS));
        client.wait_for("ready", LONG);
        Self { server, client }
    }
}
