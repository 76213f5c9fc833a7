//! Network namespaces, two of them joined by a virtual cable.

use std::process::Command;

use crate::{process::output, token};

/// A network namespace that is removed when dropped; interfaces inside go with it.
pub struct Namespace {
    name: String,
}

impl Namespace {
    fn new(name: String) -> Self {
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"]);
        namespace
    }

    /// A command that runs inside; the process keeps its pid over `ip netns exec`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        Command::new("ip").args(["netns", "del", &self.name]).status().ok();
    }
}

/// A client's and a server's namespace.
pub struct Pair {
    pub client: Namespace,
    pub server: Namespace,
}

/// The server's address, and one that nobody has until it is translated.
pub const SERVER: &str = "10.201.77.2";
pub const VIRTUAL: &str = "10.202.77.1";
const CLIENT: &str = "10.201.77.1";

impl Pair {
    pub fn new() -> Self {
        let name = token();
        let pair =
            Self { client: Namespace::new(format!("{name}c")), server: Namespace::new(format!("{name}s")) };
        let (client, server) = (pair.client.name.as_str(), pair.server.name.as_str());
        // Interfaces are born inside, so their names need not be unique on the host.
        ip(&[
            "link", "add", "cable", "netns", client, "type", "veth", "peer", "name", "cable", "netns", server,
        ]);
        for (namespace, address) in [(client, CLIENT), (server, SERVER)] {
            ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "cable"]);
            ip(&["-n", namespace, "link", "set", "cable", "up"]);
        }
        ip(&["-n", client, "route", "add", "default", "via", SERVER]);
        pair
    }

    /// Connections from the client to `VIRTUAL:80` reach the server's port instead.
    pub fn translate(&self, port: u16) {
        let target = format!("{SERVER}:{port}");
        let mut iptables = self.client.command("iptables");
        iptables.args(["-t", "nat", "-A", "OUTPUT", "-d", VIRTUAL, "-p", "tcp", "--dport", "80"]);
        output("iptables", iptables.args(["-j", "DNAT", "--to-destination", &target]));
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

fn ip(arguments: &[&str]) {
    output("ip", Command::new("ip").args(arguments));
}
