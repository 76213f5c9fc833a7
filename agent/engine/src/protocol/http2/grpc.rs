//! gRPC in the payload of DATA frames: how many messages there are.
//!
//! A message is a flag byte, a length of four bytes and that many bytes (gRPC over HTTP/2, Length-Prefixed-
//! Message). The prefixes are read, the messages passed. A count is of whole messages, and known only as long
//! as every prefix was seen: a gap inside of a message changes nothing, any other ends it.
//!
//! gRPC-Web writes its trailers as a last message, marked by the highest bit of its flags, and may write all of it in
//! base64 (gRPC Web, Protocol differences vs gRPC over HTTP2).

mod text;
pub(crate) mod trailers;

use smallvec::SmallVec;

use self::{text::Text, trailers::Block};
use crate::{
    limit,
    protocol::{Field, Number, Observer, Trailers},
};

const COMPRESSED: u8 = 0x01;
const TRAILERS: u8 = 0x80;
/// What a prefix begins with.
const FLAGS: [u8; 4] = [0, COMPRESSED, TRAILERS, TRAILERS | COMPRESSED];

/// What the field `content-type` says of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// No gRPC.
    Other,
    /// `application/grpc`, with any message format.
    Grpc,
    /// `application/grpc-web`: trailers are in the body.
    Web,
    /// `application/grpc-web-text`: the same in base64.
    WebText,
}

impl Content {
    /// Of a value of `content-type`: media types are told apart without regard to case (RFC 9110, 8.3.1).
    pub(crate) fn of(value: &[u8]) -> Self {
        const GRPC: &[u8] = b"application/grpc";
        let Some((start, rest)) = value.split_at_checked(GRPC.len()) else { return Self::Other };
        if start != GRPC && !start.eq_ignore_ascii_case(GRPC) {
            return Self::Other;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'+' | b';' | b' ' | b'\t'));
        match rest.get(..end.unwrap_or(rest.len())).unwrap_or_default() {
            b"" => Self::Grpc,
            suffix if suffix.eq_ignore_ascii_case(b"-web") => Self::Web,
            suffix if suffix.eq_ignore_ascii_case(b"-web-text") => Self::WebText,
            _ => Self::Other,
        }
    }

    /// Of a header block; `None`: the field is not there, or its value is unknown.
    pub(crate) fn of_fields(fields: &[Field<'_>]) -> Option<Self> {
        const NAME: &[u8] = b"content-type";
        // As it is written nearly always, and cheaper to compare.
        let found =
            fields.iter().find(|field| field.name == NAME || field.name.eq_ignore_ascii_case(NAME))?;
        Some(Self::of(found.value))
    }
}

/// What bytes of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Others might stand there as well.
    Content,
    Prefix,
    /// gRPC-Web trailers.
    Trailers,
}

/// The messages of one direction of one call.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    count: u64,
    state: State,
    /// They are in base64.
    text: Option<Text>,
    /// They are none.
    foreign: bool,
    /// Where gRPC-Web trailers lie, if that was asked for.
    pub(crate) places: Vec<(u64, usize)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    /// So many bytes of a prefix.
    Prefix([u8; 5], u8),
    /// So many bytes are to come.
    Message(u32),
    /// gRPC-Web trailers.
    Trailers(Block),
    /// Ones that are too long to be read.
    Unread,
    Lost,
}

impl Messages {
    /// Those of a body of this type.
    pub(crate) fn of(content: Content) -> Self {
        let state = if content == Content::Other { State::Lost } else { State::Start };
        Self { state, text: (content == Content::WebText).then(Text::default), ..Self::default() }
    }

    /// The body that begins is of this type.
    pub(crate) fn expect(&mut self, content: Content) {
        if !matches!(self.state, State::Lost) {
            *self = Self::of(content);
        }
    }

    /// The body begins with what no message and no trailers begin with, in base64 neither: it is not gRPC's, whatever
    /// its type is.
    pub(crate) fn are_foreign(&self) -> bool {
        self.foreign
    }

    /// They are none.
    pub(crate) fn refuse(&mut self) {
        self.foreign = true;
    }

    /// Nothing more can be known of them.
    pub(crate) fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// How many there were, if that is known.
    pub(crate) fn count(&self) -> Option<u64> {
        match self.state {
            State::Lost => None,
            State::Start | State::Prefix(..) | State::Message(_) | State::Trailers(_) | State::Unread => {
                Some(self.count)
            }
        }
    }

    /// So many bytes of a message are to come; lost ones among them change nothing.
    pub(crate) fn known(&self) -> u64 {
        match self.state {
            // Base64 may be padded anywhere.
            State::Message(_) if self.text.is_some() => 0,
            State::Message(left) => u64::from(left),
            State::Lost | State::Unread => u64::MAX,
            State::Start | State::Prefix(..) | State::Trailers(_) => 0,
        }
    }

    /// Takes bytes of the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.take_and_tell(bytes, |_, _, _| {});
    }

    /// The same; `found` is told what the bytes are, part by part: where each lies in them, and how long it is.
    pub(crate) fn take_and_tell(&mut self, bytes: &[u8], mut found: impl FnMut(Part, usize, usize)) {
        // The first six bits of these.
        const TEXT: [u8; 2] = *b"Ag";
        if let (0, State::Start, Some(first)) = (self.count, &self.state, bytes.first()) {
            self.foreign |= !FLAGS.contains(first) && !TEXT.contains(first);
        }
        let Some(mut text) = self.text.take() else { return self.take_binary(bytes, found) };
        // Not quite, but whoever wants to know so does not want to keep it.
        found(Part::Content, 0, bytes.len());
        if !text.decode(bytes, |binary| self.take_binary(binary, |_, _, _| {})) {
            self.lose();
        }
        self.text = Some(text);
    }

    fn take_binary(&mut self, all: &[u8], mut found: impl FnMut(Part, usize, usize)) {
        let mut bytes = all;
        while !bytes.is_empty() {
            let at = all.len().saturating_sub(bytes.len());
            let used = match &mut self.state {
                State::Lost | State::Unread => return found(Part::Content, at, bytes.len()),
                State::Start => {
                    self.state = State::Prefix([0; 5], 0);
                    0
                }
                State::Prefix(prefix, have) => {
                    let mut used = 0_usize;
                    let first = *have == 0;
                    for (to, from) in prefix.iter_mut().skip(usize::from(*have)).zip(bytes) {
                        *to = *from;
                        *have = have.saturating_add(1);
                        used = used.saturating_add(1);
                    }
                    // Of what is none, one byte is enough to know it.
                    let [flags, ..] = *prefix;
                    let told = if FLAGS.contains(&flags) { used } else { usize::from(first) };
                    found(Part::Prefix, at, told);
                    found(Part::Content, at.saturating_add(told), used.saturating_sub(told));
                    if *have == 5 {
                        let prefix = *prefix;
                        self.begin(prefix);
                    }
                    used
                }
                State::Message(left) => {
                    let used = bytes.len().min(*left as usize);
                    *left = left.saturating_sub(used as u32);
                    self.settle();
                    found(Part::Content, at, used);
                    used
                }
                State::Trailers(block) => match block.take(bytes) {
                    // Nothing follows them.
                    0 => return found(Part::Content, at, bytes.len()),
                    used => {
                        // Compressed ones cannot be scrubbed.
                        let part = if block.plain() { Part::Trailers } else { Part::Content };
                        found(part, at, used);
                        used
                    }
                },
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Takes a gap of the body.
    pub(crate) fn gap(&mut self, length: u64) {
        match &mut self.state {
            State::Message(left) if length <= u64::from(*left) && self.text.is_none() => {
                *left = left.saturating_sub(u32::try_from(length).unwrap_or(u32::MAX));
                self.settle();
            }
            State::Lost | State::Unread => {}
            State::Start | State::Prefix(..) | State::Message(_) | State::Trailers(_) => {
                if length > 0 {
                    self.lose();
                }
            }
        }
    }

    /// The text of whole gRPC-Web trailers that are not compressed: lines of `name: value`.
    pub(crate) fn trailers(&self) -> Option<&[u8]> {
        if let State::Trailers(block) = &self.state { block.plain_text() } else { None }
    }

    /// Tells the fields of gRPC-Web trailers.
    pub(crate) fn tell_trailers(&self, number: Number, out: &mut dyn Observer) {
        if let State::Trailers(block) = &self.state
            && let Some(text) = block.text()
        {
            let fields: SmallVec<[_; 8]> = trailers::fields(&text).take(limit::FIELDS_MAX).collect();
            out.trailers(number, &Trailers { fields: &fields, fields_incomplete: false });
        }
    }

    fn begin(&mut self, [flags, a, b, c, d]: [u8; 5]) {
        let length = u32::from_be_bytes([a, b, c, d]);
        self.state = match flags & !COMPRESSED {
            0 => State::Message(length),
            TRAILERS if length <= trailers::LENGTH_MAX => {
                State::Trailers(Block::new(length, flags & COMPRESSED != 0))
            }
            TRAILERS if flags & COMPRESSED != 0 => State::Unread,
            // Not what gRPC writes.
            _ => State::Lost,
        };
        self.settle();
    }

    fn settle(&mut self) {
        if matches!(self.state, State::Message(0)) {
            self.count = self.count.saturating_add(1);
            self.state = State::Start;
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests {
    use super::*;

    /// The fields of trailers.
    fn told(messages: &Messages) -> Vec<String> {
        let State::Trailers(block) = &messages.state else { return Vec::new() };
        let text = block.text().unwrap_or_default();
        let fields = trailers::fields(&text);
        fields.map(|field| format!("{}={}", field.name.escape_ascii(), field.value.escape_ascii())).collect()
    }

    fn message(length: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(length.to_be_bytes());
        bytes.resize(bytes.len() + length as usize, 0xff);
        bytes
    }

    #[test]
    fn whole_messages_are_counted_however_they_are_cut() {
        let body: Vec<u8> = [0, 1, 5, 300, 0].into_iter().flat_map(message).collect();
        for piece in 1..body.len() {
            let mut messages = Messages::default();
            body.chunks(piece).for_each(|bytes| messages.take(bytes));
            assert_eq!(messages.count(), Some(5), "pieces of {piece}");
        }
        let mut messages = Messages::default();
        messages.take(&body[..body.len() - 6]);
        assert_eq!(messages.count(), Some(3));
    }

    #[test]
    fn a_gap_inside_of_a_message_changes_nothing_and_any_other_ends_the_count() {
        let body: Vec<u8> = [20, 20].into_iter().flat_map(message).collect();
        for start in 0..body.len() {
            for end in start + 1..=body.len() {
                let mut messages = Messages::default();
                messages.take(&body[..start]);
                messages.gap((end - start) as u64);
                messages.take(&body[end..]);
                let inside = (5..=25).contains(&start) && end <= 25 || start >= 30;
                assert_eq!(messages.count(), inside.then_some(2), "{start}..{end}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_not_counted() {
        let mut messages = Messages::default();
        messages.take(b"{\"a\": 1}");
        assert_eq!(messages.count(), None);
    }

    #[test]
    fn trailers_in_the_body_are_kept() {
        let mut messages = Messages::default();
        messages.take(&message(3));
        messages.take(b"\x80\0\0\0\x24grpc-status: 5\r\ngrpc-message:not it\r\n");
        assert_eq!(messages.count(), Some(1));
        assert_eq!(told(&messages), ["grpc-status=5", "grpc-message=not it"]);
    }

    #[test]
    fn compressed_trailers_are_read() {
        let text = b"grpc-status: 5\r\ngrpc-message:not it\r\n";
        let body = [message(3), trailers::tests::message(text)].concat();
        let mut messages = Messages::of(Content::Web);
        messages.take(&body);
        assert_eq!(messages.count(), Some(1));
        assert_eq!(told(&messages), ["grpc-status=5", "grpc-message=not it"]);
        let mut messages = Messages::of(Content::WebText);
        messages.take(text::tests::encoded(&body).as_bytes());
        assert_eq!(messages.count(), Some(1));
        assert_eq!(told(&messages), ["grpc-status=5", "grpc-message=not it"]);
    }

    #[test]
    fn compressed_trailers_that_cannot_be_read_end_the_messages() {
        for block in [&b"\x81\0\0\0\x03gzi"[..], b"\x81\0\x01\0\0gzi"] {
            let mut messages = Messages::default();
            messages.take(&[&message(3)[..], block].concat());
            assert_eq!((messages.count(), told(&messages).len()), (Some(1), 0));
        }
    }

    #[test]
    fn what_is_in_base64_is_counted_however_it_is_cut_and_padded() {
        let trailers = b"\x80\0\0\0\x0egrpc-status: 5".to_vec();
        let pieces = [message(1), message(0), [message(2), message(4)].concat(), message(30), trailers];
        for together in [true, false] {
            let texts = if together { vec![pieces.concat()] } else { pieces.to_vec() };
            let body: String = texts.iter().map(|bytes| text::tests::encoded(bytes)).collect();
            for piece in 1..body.len() {
                let mut messages = Messages::of(Content::WebText);
                body.as_bytes().chunks(piece).for_each(|bytes| messages.take(bytes));
                assert_eq!(messages.count(), Some(5), "pieces of {piece}");
                assert_eq!(told(&messages), ["grpc-status=5"]);
            }
            let mut messages = Messages::of(Content::WebText);
            messages.take(&body.as_bytes()[..body.len() - 30]);
            messages.gap(1);
            assert_eq!(messages.count(), None);
        }
    }

    #[test]
    fn what_might_be_other_bytes_as_well_is_inside_of_messages() {
        let body = [message(3), message(0), message(200), b"\x80\0\0\0\x0egrpc-status: 5".to_vec()].concat();
        for piece in 1..body.len() {
            let (mut messages, mut told) = (Messages::default(), Vec::new());
            for (index, bytes) in body.chunks(piece).enumerate() {
                messages.take_and_tell(bytes, |part, at, length| {
                    let at = index * piece + at;
                    if part == Part::Content {
                        told.extend(at..at + length);
                    }
                });
            }
            assert!(told.iter().copied().eq((5..8).chain(18..218)), "pieces of {piece}: {told:?}");
        }
    }

    #[test]
    fn media_types_of_grpc_are_told_from_others() {
        for (value, content) in [
            ("application/grpc", Content::Grpc),
            ("application/grpc+proto", Content::Grpc),
            ("Application/gRPC+json; charset=utf-8", Content::Grpc),
            ("application/grpc;x", Content::Grpc),
            ("application/grpc-web", Content::Web),
            ("application/grpc-web+proto", Content::Web),
            ("application/grpc-web-text", Content::WebText),
            ("application/grpc-web-text+proto", Content::WebText),
            ("application/grpcx", Content::Other),
            ("application/json", Content::Other),
            ("", Content::Other),
        ] {
            assert_eq!(Content::of(value.as_bytes()), content, "{value}");
        }
    }
}
