//! The encoders of two crates; the first argument says which.

use httlib_hpack::Encoder as Httlib;

enum Encoder {
    Hpack(hpack::Encoder<'static>),
    Httlib(Httlib<'static>),
}

fn text(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (which, path) = (args.next().unwrap(), args.next().unwrap());
    let mut encoder = Encoder::Hpack(hpack::Encoder::new());
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut known = false;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let word: Vec<&str> = line.split(' ').collect();
        match word[0] {
            "S" => {
                encoder = match which.as_str() {
                    "hpack" => Encoder::Hpack(hpack::Encoder::new()),
                    _ => Encoder::Httlib(Httlib::with_dynamic_size(4096)),
                };
                // Neither of them changes the size of its table as the story wants.
                known = !["turnover", "random"].contains(&word[1]);
                if known {
                    println!("{line}");
                }
            }
            "F" => fields.push((text(word[1]), text(word.get(2).unwrap_or(&"")))),
            "B" => {
                let list = || fields.iter().map(|(name, value)| (&name[..], &value[..]));
                let block = match &mut encoder {
                    Encoder::Hpack(encoder) => encoder.encode(list()),
                    Encoder::Httlib(encoder) => {
                        let mut block = Vec::new();
                        for (at, (name, value)) in fields.drain(..).enumerate() {
                            let flags = Httlib::BEST_FORMAT | if at % 4 == 0 { 0 } else { Httlib::WITH_INDEXING };
                            encoder.encode((name, value, flags), &mut block).unwrap();
                        }
                        block
                    }
                };
                if known {
                    println!("{}", block.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                }
                fields.clear();
            }
            _ => {}
        }
    }
}
