//! The TCP ports on which a process listens, for selectors by port when the agent starts.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Root;

/// `TCP_LISTEN` of `include/net/tcp_states.h`, as `/proc/net/tcp` writes it.
const LISTEN: &str = "0A";

/// Listening sockets of the network namespaces met, by inode; built once, for one scan.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    namespaces: FxHashMap<u32, FxHashMap<u64, u16>>,
}

impl Listeners {
    /// The ports on which a process listens.
    pub(super) fn ports(&mut self, root: &Root, pid: u32) -> Vec<u16> {
        let Some(namespace) = root.namespace(&pid.to_string(), "net") else { return Vec::new() };
        let sockets = self.namespaces.entry(namespace).or_insert_with(|| listening(root, pid));
        if sockets.is_empty() {
            return Vec::new();
        }
        let descriptors = root.descriptors(pid);
        let inodes = descriptors
            .iter()
            .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        let ports: FxHashSet<u16> = inodes.filter_map(|inode: u64| sockets.get(&inode).copied()).collect();
        ports.into_iter().collect()
    }
}

fn listening(root: &Root, pid: u32) -> FxHashMap<u64, u16> {
    let tables = ["net/tcp", "net/tcp6"].into_iter().filter_map(|table| root.table(pid, table));
    tables.flat_map(|table| table.lines().filter_map(listener).collect::<Vec<_>>()).collect()
}

/// `sl local_address rem_address st ... inode ...` (proc_pid_net(5)).
fn listener(line: &str) -> Option<(u64, u16)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some((inode, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(listener(line), Some((4711, 8080)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        let line = "1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 12 1 0";
        assert_eq!(listener(line), Some((12, 80)));
        for line in ["", "  sl  local_address rem_address   st", "0: x:y z 0A", "0: 0:1F90 0:0 0A"] {
            assert_eq!(listener(line), None, "{line}");
        }
    }
}
