//! Blocks of other encoders (`corpus/generate.sh`), from the start and from every place in the middle.

use super::{model::Model, *};

const STORIES: &str = include_str!("corpus/stories.txt");
const ENCODERS: [(&str, &str); 10] = [
    ("go", include_str!("corpus/go.hex")),
    ("h2", include_str!("corpus/h2.hex")),
    ("hpack", include_str!("corpus/hpack.hex")),
    ("hpack.js", include_str!("corpus/hpack_js.hex")),
    ("httlib", include_str!("corpus/httlib.hex")),
    ("netty", include_str!("corpus/netty.hex")),
    ("nghttp2", include_str!("corpus/nghttp2.hex")),
    ("perl", include_str!("corpus/perl.hex")),
    ("python", include_str!("corpus/python_hpack.hex")),
    ("twitter", include_str!("corpus/twitter.hex")),
];

/// A block as it was given to an encoder.
#[derive(Default)]
struct Block {
    /// A table size that is agreed before it.
    limit: Option<u32>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

fn stories() -> Vec<(&'static str, Vec<Block>)> {
    let mut stories = Vec::new();
    let mut block = Block::default();
    for line in STORIES.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        match (word(), stories.last_mut()) {
            ("S", _) => stories.push((line, Vec::new())),
            ("T", _) => block.limit = Some(word().parse().unwrap()),
            ("F" | "N", _) => block.fields.push((hex(word()), hex(word()))),
            (_, Some((_, blocks))) => blocks.push(core::mem::take(&mut block)),
            (_, None) => panic!("{line}"),
        }
    }
    stories
}

/// A story, what an encoder was given, and its blocks.
type Encoded = (&'static str, Vec<Block>, Vec<Vec<u8>>);

/// The stories that an encoder has.
fn encoded(text: &'static str) -> Vec<Encoded> {
    let mut found = Vec::new();
    for (story, given) in stories() {
        let lines = text.lines().skip_while(|line| *line != story).skip(1);
        let blocks: Vec<_> = lines.take_while(|line| !line.starts_with('S')).map(hex).collect();
        if !blocks.is_empty() {
            assert_eq!(blocks.len(), given.len());
            found.push((story, given, blocks));
        }
    }
    found
}

#[test]
fn what_other_encoders_were_given_comes_out() {
    for (encoder, text) in ENCODERS {
        let stories = encoded(text);
        assert!(!stories.is_empty(), "{encoder}");
        for (story, given, blocks) in stories {
            let mut decoder = Decoder::new();
            for (given, block) in given.iter().zip(&blocks) {
                given.limit.into_iter().for_each(|limit| decoder.set_limit(limit));
                let fields =
                    decode(&mut decoder, block).unwrap_or_else(|error| panic!("{encoder} {story}: {error}"));
                let expected =
                    given.fields.iter().map(|(name, value)| (Some(name.clone()), Some(value.clone())));
                // Some keep the fields in an order of their own.
                let (mut fields, mut expected): (Vec<_>, Vec<_>) = (fields, expected.collect());
                if ["h2", "netty"].contains(&encoder) {
                    fields.sort();
                    expected.sort();
                }
                assert_eq!(fields, expected, "{encoder} {story}");
            }
        }
    }
}

#[test]
fn from_the_middle_exactly_what_was_inserted_since_is_known() {
    let (mut known, mut total) = (0, 0);
    for (encoder, text) in ENCODERS {
        for (story, given, blocks) in encoded(text) {
            let mut model = Model::new();
            let entries: Vec<_> =
                blocks.iter().enumerate().map(|(now, block)| model.decode(block, now)).collect();
            for start in 0..blocks.len() {
                let mut decoder = Decoder::joined_late();
                for now in start..blocks.len() {
                    given[now].limit.into_iter().for_each(|limit| decoder.set_limit(limit));
                    let fields = decode(&mut decoder, &blocks[now]).unwrap();
                    let expected: Vec<_> = entries[now].iter().map(|entry| entry.seen_since(start)).collect();
                    assert_eq!(fields, expected, "{encoder} {story}, block {now} from {start}");
                    total += fields.len();
                    known += fields.iter().filter(|(name, value)| name.is_some() && value.is_some()).count();
                }
            }
        }
    }
    eprintln!("{known} of {total} fields known");
    assert!(known > total / 2);
}

#[test]
fn the_blocks_have_every_form_of_a_field() {
    let mut forms = [0; 5];
    for (_, text) in ENCODERS {
        for block in encoded(text).iter().flat_map(|(.., blocks)| blocks) {
            let form = match block.first() {
                Some(0x80..) => 0,
                Some(0x40..) => 1,
                Some(0x20..) => 2,
                Some(0x10..) => 3,
                _ => 4,
            };
            forms[form] += 1;
        }
    }
    assert!(forms.iter().all(|count| *count > 0), "first ones of their blocks: {forms:?}");
}

#[test]
fn a_byte_that_is_wrong_is_an_error_or_another_field() {
    let mut random = Random::new();
    for (_, text) in ENCODERS {
        for (_, _, blocks) in encoded(text) {
            let mut decoder = Decoder::new();
            for mut block in blocks {
                let at = random.below(block.len());
                block[at] = random.next() as u8;
                decode(&mut decoder, &block).ok();
            }
        }
    }
}

/// `cargo test -p engine --profile quick hpack -- --ignored --nocapture`
#[test]
#[ignore = "prints how fast it is"]
#[expect(clippy::disallowed_methods, reason = "it is about time")]
fn throughput() {
    for (encoder, text) in ENCODERS {
        let mut line = format!("{encoder:10}");
        for (story, _, blocks) in encoded(text) {
            let mut scratch = Vec::new();
            let (mut fields, mut count) = (0, 0);
            let start = std::time::Instant::now();
            while start.elapsed().as_millis() < 100 {
                let mut decoder = Decoder::new();
                decoder.set_limit(65536);
                for block in &blocks {
                    decoder
                        .decode(block, &mut scratch, |field| fields += usize::from(field.value.is_some()))
                        .unwrap();
                }
                count += blocks.len();
            }
            let block = start.elapsed().as_nanos() as usize / count;
            line += &format!("  {story}: {block} ns/block, {} ns/field", block * count / fields);
        }
        eprintln!("{line}");
    }
}
