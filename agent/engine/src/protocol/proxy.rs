//! The PROXY protocol, versions 1 and 2: a preamble in front of a connection's first request that names
//! the connection it was made for (haproxy.org/download/3.0/doc/proxy-protocol.txt).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every preamble of version 2 starts with (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1 (section 2.1).
const LINE_MAX: usize = 107;
/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;

/// The connection that a preamble announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// What stands at the start of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// A preamble of this length; it may announce nothing (`UNKNOWN`, `LOCAL`, a Unix address).
    Yes {
        length: u64,
        proxied: Option<Proxied>,
    },
    No,
    NeedMore,
}

/// Looks for a preamble in the first bytes of a connection.
pub fn preamble(head: &[u8]) -> Preamble {
    if SIGNATURE.starts_with(head) {
        return Preamble::NeedMore;
    }
    if head.starts_with(SIGNATURE) { version2(head) } else { version1(head) }
}

fn version1(head: &[u8]) -> Preamble {
    // A request may have the method PROXY too, so the family must follow.
    let starts: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];
    if starts.iter().any(|start| start.starts_with(head)) {
        return Preamble::NeedMore;
    }
    if !starts.iter().any(|start| head.starts_with(start)) {
        return Preamble::No;
    }
    let window = head.get(..LINE_MAX).unwrap_or(head);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if head.len() >= LINE_MAX { Preamble::No } else { Preamble::NeedMore };
    };
    let Some(line) = head.get(..end).and_then(|line| line.strip_suffix(b"\r")) else { return Preamble::No };
    let proxied = core::str::from_utf8(line).ok().and_then(addresses1);
    if proxied.is_none() && !line.starts_with(b"PROXY UNKNOWN") {
        return Preamble::No;
    }
    Preamble::Yes { length: (end as u64).saturating_add(1), proxied }
}

fn addresses1(line: &str) -> Option<Proxied> {
    let mut words = line.split(' ').skip(1);
    if words.next()? == "UNKNOWN" {
        return None;
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let source_port = words.next()?.parse().ok()?;
    let destination_port = words.next()?.parse().ok()?;
    Some(Proxied {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

fn version2(head: &[u8]) -> Preamble {
    let Some(&[command, family, high, low]) = head.get(SIGNATURE.len()..FIXED) else {
        return Preamble::NeedMore;
    };
    if command >> 4 != 2 || command & 0xf > 1 {
        return Preamble::No;
    }
    let addresses = u16::from_be_bytes([high, low]);
    let length = (FIXED as u64).saturating_add(u64::from(addresses));
    // Command LOCAL announces nothing: the proxy speaks for itself. So does any other family.
    let (needed, is_v4) = match (command & 0xf, family) {
        (1, 0x11) => (12_u16, true),
        (1, 0x21) => (36, false),
        _ => return Preamble::Yes { length, proxied: None },
    };
    if addresses < needed {
        return Preamble::No;
    }
    let block = head.get(FIXED..).unwrap_or_default();
    match block.get(..usize::from(needed)) {
        Some(block) => {
            let proxied = if is_v4 { addresses_v4(block) } else { addresses_v6(block) };
            Preamble::Yes { length, proxied }
        }
        None => Preamble::NeedMore,
    }
}

fn addresses_v4(block: &[u8]) -> Option<Proxied> {
    let (source, rest) = block.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    proxied(Ipv4Addr::from(*source).into(), Ipv4Addr::from(*destination).into(), rest)
}

fn addresses_v6(block: &[u8]) -> Option<Proxied> {
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    proxied(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), rest)
}

fn proxied(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Option<Proxied> {
    let [a, b, c, d] = *ports.first_chunk::<4>()?;
    Some(Proxied {
        source: SocketAddr::new(source.to_canonical(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination.to_canonical(), u16::from_be_bytes([c, d])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_prefixes(bytes: &[u8], decided: usize, answer: Preamble) {
        for length in 0..=bytes.len() {
            let expected = if length < decided { Preamble::NeedMore } else { answer };
            assert_eq!(preamble(&bytes[..length]), expected, "prefix of {length}");
        }
    }

    fn some(source: &str, destination: &str) -> Option<Proxied> {
        Some(Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    #[test]
    fn version_1_is_read_at_every_prefix() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 5123 80\r\n";
        let length = line.len();
        let proxied = some("192.0.2.1:5123", "198.51.100.2:80");
        assert_prefixes(line, length, Preamble::Yes { length: length as u64, proxied });
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 5123 80\r\n";
        let length = line.len();
        let proxied = some("[2001:db8::1]:5123", "[2001:db8::2]:80");
        assert_prefixes(line, length, Preamble::Yes { length: length as u64, proxied });
        let line = b"PROXY UNKNOWN\r\n";
        assert_prefixes(line, line.len(), Preamble::Yes { length: line.len() as u64, proxied: None });
    }

    #[test]
    fn version_2_is_read_at_every_prefix() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 15, 192, 0, 2, 1, 198, 51, 100, 2, 0x14, 3, 0, 80]);
        let decided = bytes.len();
        bytes.extend([4, 0, 0]);
        let length = bytes.len() as u64;
        let proxied = some("192.0.2.1:5123", "198.51.100.2:80");
        assert_prefixes(&bytes, decided, Preamble::Yes { length, proxied });
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        assert_prefixes(&local, 16, Preamble::Yes { length: 16, proxied: None });
    }

    #[test]
    fn what_is_no_preamble_is_left_to_the_protocols() {
        for bytes in [
            &b"PROXY /path HTTP/1.1\r\n"[..],
            b"GET / HTTP/1.1\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n",
            b"PROXY TCP4 1.2.3.4 nonsense\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        ] {
            assert_eq!(preamble(bytes), Preamble::No, "{}", bytes.escape_ascii());
        }
    }
}
