//! Which protocol a connection speaks, by the first bytes of a direction.
//!
//! Three answers, and the third is not a guess: every prefix of a message start needs more. A protocol adds
//! its line to [`Spoken`] and to [`requests`].

/// Longest method that is believed: the longest registered one has 17 bytes.
const METHOD_MAX: usize = 64;
/// Empty lines before a request line that are passed over (RFC 9112, 2.2).
const BLANK_MAX: usize = 16;
/// What an HTTP/2 client sends first (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    Yes(Spoken),
    No,
    NeedMore,
}

/// A protocol that is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
}

/// Do these bytes begin a request?
pub fn requests(head: &[u8]) -> Detection {
    if head.starts_with(HTTP2_PREFACE) {
        return Detection::Yes(Spoken::Http2);
    }
    if HTTP2_PREFACE.starts_with(head) {
        return Detection::NeedMore;
    }
    http1_request(head)
}

/// `method SP target`: a token, a blank, and a byte that can start one of the four forms of a target.
pub fn http1_request(head: &[u8]) -> Detection {
    let blanks = head.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = head.get(blanks..).unwrap_or_default();
    if blanks > BLANK_MAX {
        return Detection::No;
    }
    let method = line.iter().take(METHOD_MAX.saturating_add(1)).take_while(|byte| is_tchar(**byte)).count();
    if method > METHOD_MAX {
        return Detection::No;
    }
    match line.get(method..).unwrap_or_default() {
        [] => Detection::NeedMore,
        [b' ', ..] if method == 0 => Detection::No,
        [b' '] => Detection::NeedMore,
        [b' ', start, ..] if is_target_start(*start) => Detection::Yes(Spoken::Http1),
        _ => Detection::No,
    }
}

/// Do these bytes begin a response? `HTTP/1.` and a digit (RFC 9112, 2.3).
pub fn http1_response(head: &[u8]) -> Detection {
    const NAME: &[u8] = b"HTTP/1.";
    match head.strip_prefix(NAME) {
        Some([]) => Detection::NeedMore,
        Some([b'0'..=b'9', ..]) => Detection::Yes(Spoken::Http1),
        None if NAME.starts_with(head) => Detection::NeedMore,
        _ => Detection::No,
    }
}

/// Do these bytes begin the frames of an HTTP/2 server? It sends SETTINGS first (RFC 9113, 3.4), and need not
/// wait for the client.
pub fn http2_settings(head: &[u8]) -> Detection {
    const PARAMETERS_MAX: u8 = 40;
    let fits = |(index, byte): (usize, &u8)| match index {
        2 => byte.is_multiple_of(6) && *byte <= PARAMETERS_MAX.saturating_mul(6),
        3 => *byte == 4,
        _ => *byte == 0,
    };
    let known = head.iter().take(9).enumerate().all(fits);
    match known {
        true if head.len() >= 9 => Detection::Yes(Spoken::Http2),
        true => Detection::NeedMore,
        false => Detection::No,
    }
}

/// Origin form, absolute or authority form, asterisk form (RFC 9112, 3.2).
fn is_target_start(byte: u8) -> bool {
    matches!(byte, b'/' | b'*' | b'[' | b'%' | b'_' | b'?') || byte.is_ascii_alphanumeric()
}

/// RFC 9110, 5.6.2.
pub fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| is_tchar(*byte))
}

fn is_tchar(byte: u8) -> bool {
    const TCHAR: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            #[expect(clippy::indexing_slicing, reason = "a constant, evaluated by the compiler")]
            {
                table[byte] = (byte as u8).is_ascii_alphanumeric()
                    || matches!(
                        byte as u8,
                        b'!' | b'#'
                            | b'$'
                            | b'%'
                            | b'&'
                            | b'\''
                            | b'*'
                            | b'+'
                            | b'-'
                            | b'.'
                            | b'^'
                            | b'_'
                            | b'`'
                            | b'|'
                            | b'~'
                    );
                byte += 1;
            }
        }
        table
    };
    TCHAR.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer for every prefix: more until `decided` bytes are there, then `answer` for good.
    fn assert_prefixes(bytes: &[u8], decided: usize, answer: Detection) {
        for length in 0..=bytes.len() {
            let expected = if length < decided { Detection::NeedMore } else { answer };
            let head = &bytes[..length];
            assert_eq!(requests(head), expected, "{:?}", head.escape_ascii().to_string());
        }
    }

    #[test]
    fn every_prefix_of_a_request_needs_more_or_is_one() {
        let yes = Detection::Yes(Spoken::Http1);
        assert_prefixes(b"GET / HTTP/1.1\r\n", 5, yes);
        assert_prefixes(b"\r\n\r\nGET / HTTP/1.1\r\n", 9, yes);
        assert_prefixes(b"PRI /x HTTP/1.1\r\n", 5, yes);
        assert_prefixes(b"OPTIONS * HTTP/1.1\r\n", 9, yes);
        assert_prefixes(b"CONNECT [::1]:443 HTTP/1.1\r\n", 9, yes);
        assert_prefixes(b"X-~! http://a/ HTTP/1.1\r\n", 6, yes);
    }

    #[test]
    fn the_preface_of_http2_is_its_own_answer() {
        assert_prefixes(HTTP2_PREFACE, HTTP2_PREFACE.len(), Detection::Yes(Spoken::Http2));
    }

    #[test]
    fn the_settings_of_a_server_are_known_by_their_frame_header() {
        let frame = [0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
        for length in 0..frame.len() {
            let expected = if length < 9 { Detection::NeedMore } else { Detection::Yes(Spoken::Http2) };
            assert_eq!(http2_settings(&frame[..length]), expected);
        }
        // An acknowledgement, a stream, a length that cannot be.
        for (at, value) in [(4, 1), (8, 1), (2, 7), (3, 0)] {
            let mut frame = frame;
            frame[at] = value;
            assert_eq!(http2_settings(&frame), Detection::No);
        }
    }

    #[test]
    fn other_protocols_are_none() {
        assert_prefixes(b"\x16\x03\x01\x02\x00", 1, Detection::No);
        assert_prefixes(b"*1\r\n$4\r\nPING\r\n", 3, Detection::No);
        assert_prefixes(b"SSH-2.0-OpenSSH_9\r\n", 18, Detection::No);
        assert_prefixes(b" GET / HTTP/1.1", 1, Detection::No);
        assert_prefixes(&[b'A'; 100], METHOD_MAX + 1, Detection::No);
        assert_prefixes(&[b'\n'; 100], BLANK_MAX + 1, Detection::No);
    }

    #[test]
    fn every_prefix_of_a_response_needs_more_or_is_one() {
        let bytes = b"HTTP/1.1 200 OK";
        for length in 0..bytes.len() {
            let expected = if length < 8 { Detection::NeedMore } else { Detection::Yes(Spoken::Http1) };
            assert_eq!(http1_response(&bytes[..length]), expected);
        }
        assert_eq!(http1_response(b"HTTP/2"), Detection::No);
        assert_eq!(http1_response(b"220 mail"), Detection::No);
    }
}
