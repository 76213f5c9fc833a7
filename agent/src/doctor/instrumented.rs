//! Programs that send traces themselves: those that an agent saw doing so, and those that seem to. Whether they do shows
//! only when they do.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::process::{Root, Seen};

/// Where collectors listen for OTLP: gRPC and HTTP (OTLP specification, default ports).
const PORTS: [u16; 2] = [4317, 4318];
/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`, as `/proc/net/tcp` writes it.
const ESTABLISHED: &str = "01";

/// Of those that an agent saw the ones that still run: it may be gone, and its word be old.
pub(super) fn running(root: &Root, seen: &[Seen]) -> Vec<u32> {
    let runs = |seen: &&Seen| root.executable(seen.pid).is_some_and(|path| path == seen.executable);
    seen.iter().filter(runs).map(|seen| seen.pid).collect()
}

/// Of these processes those that are connected to a port of OTLP, or are told where to send it.
pub(super) fn find(root: &Root, pids: &[u32]) -> Vec<u32> {
    let own = root.text("proc/self/stat").and_then(|stat| stat.split(' ').next()?.parse().ok());
    let own = own.and_then(|pid| root.executable(pid));
    let mut namespaces = FxHashMap::default();
    let seems = |pid: &&u32| {
        // An agent that runs sends what it saw of others.
        let other = own.is_none() || root.executable(**pid) != own;
        other && (is_configured(root, **pid) || is_connected(root, **pid, &mut namespaces))
    };
    pids.iter().filter(seems).copied().collect()
}

fn is_configured(root: &Root, pid: u32) -> bool {
    let Some(environment) = root.environment(pid) else { return false };
    environment.split(|&byte| byte == 0).any(|variable| {
        let value = [&b"OTEL_EXPORTER_OTLP_ENDPOINT="[..], b"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="]
            .into_iter()
            .find_map(|name| variable.strip_prefix(name));
        value.is_some_and(|value| !value.is_empty())
    })
}

/// `namespaces`: sockets of the network namespaces met that are connected so.
fn is_connected(root: &Root, pid: u32, namespaces: &mut FxHashMap<u32, FxHashSet<u64>>) -> bool {
    let Some(namespace) = root.namespace(&pid.to_string(), "net") else { return false };
    let sockets = namespaces.entry(namespace).or_insert_with(|| {
        let tables = ["net/tcp", "net/tcp6"].into_iter().filter_map(|table| root.table(pid, table));
        tables.flat_map(|table| table.lines().filter_map(connected).collect::<Vec<_>>()).collect()
    });
    if sockets.is_empty() {
        return false;
    }
    let inode = |link: &String| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    root.descriptors(pid).iter().filter_map(inode).any(|inode| sockets.contains(&inode))
}

/// The inode of a socket that is connected to such a port: `sl local_address rem_address st ... inode ...`
/// (proc_pid_net(5)).
fn connected(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(2)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if fields.next()? != ESTABLISHED || !PORTS.contains(&port) {
        return None;
    }
    fields.nth(5)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_to_a_port_of_otlp_count() {
        let line = "   0: 0100007F:8D1C 0100007F:10DE 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(connected(line), Some(4711));
        assert_eq!(connected(&line.replace(":10DE", ":10DD")), Some(4711));
        for other in [line.replace(":10DE", ":0050"), line.replace(" 01 ", " 06 ")] {
            assert_eq!(connected(&other), None, "{other}");
        }
        // The collector's own end.
        assert_eq!(connected(&line.replace("8D1C 0100007F:10DE", "10DE 0100007F:8D1C")), None);
        for line in ["", "  sl  local_address rem_address   st", "0: x:y z 01", "0: 0:1F90 0:10DE 01"] {
            assert_eq!(connected(line), None, "{line}");
        }
    }
}
