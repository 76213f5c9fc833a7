//! Captures of real programs, replayed without a kernel: as they are, cut at every byte, with every single record missing,
//! and mixed with a twin. `SPANDREL_BLESS=1` writes the golden files anew; the difference is reviewed.

mod late;

use std::{
    fs,
    path::{Path, PathBuf},
};

use acceptance::{
    recording::read,
    replay::{Identity, replay, yaml},
    variation::{Records, every_cut, every_cut_at_once, every_loss, in_pieces_of, with_twin},
};

/// Bytes of records that are replayed to make each cut of a capture alone; beyond them, some are made at once.
const CUTS_MAX: usize = 120 << 20;

/// Every capture, with its path.
fn captures() -> Vec<(PathBuf, Records)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let mut paths: Vec<_> = folders
        .flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "records"))
        .collect();
    assert!(!paths.is_empty(), "there are no captures");
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

#[test]
fn captures_give_their_golden_spans() {
    for (path, records) in captures() {
        let golden = path.with_extension("spans.yaml");
        let found = yaml(&replay(&records).spans);
        let stored = fs::read_to_string(&golden).unwrap_or_default();
        let comments: String =
            stored.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        if std::env::var_os("SPANDREL_BLESS").is_some() {
            fs::write(&golden, comments + &found).expect("write the golden file");
            continue;
        }
        let expected = &stored[comments.len()..];
        assert!(found == expected, "{}\n--- expected:\n{expected}--- found:\n{found}", golden.display());
    }
}

#[test]
fn captures_cut_anywhere_give_the_same_spans() {
    for (path, records) in captures() {
        let expected = yaml(&replay(&records).spans);
        let pieces = [1, 2, 3, 7].map(|size| (format!("in pieces of {size}"), in_pieces_of(&records, size)));
        let size: usize = records.iter().map(Vec::len).sum();
        let cuts: Box<dyn Iterator<Item = _>> = if size * size > CUTS_MAX {
            Box::new(every_cut_at_once(&records))
        } else {
            Box::new(every_cut(&records))
        };
        for (how, varied) in pieces.into_iter().chain(cuts) {
            let found = yaml(&replay(&varied).spans);
            assert!(
                found == expected,
                "{}, {how}\n--- expected:\n{expected}--- found:\n{found}",
                path.display()
            );
        }
    }
}

#[test]
fn a_lost_record_makes_no_span_that_was_not_there() {
    for (path, records) in captures() {
        let before: Vec<_> = replay(&records).spans.iter().map(Identity::of).collect();
        for (how, varied) in every_loss(&records) {
            let outcome = replay(&varied);
            let (seen, rest) = outcome.accounting.sides();
            assert_eq!(seen, rest, "{}, {how}", path.display());
            let mut left = before.clone();
            // Those of which most is known choose first what they stand for.
            let mut found: Vec<_> = outcome.spans.iter().map(Identity::of).collect();
            found.sort_by_key(|span| usize::MAX - span.known());
            for span in found {
                let same = left.iter().position(|whole| *whole == span);
                let at = same.or_else(|| left.iter().position(|whole| span.is_of(whole)));
                left.swap_remove(at.unwrap_or_else(|| panic!("{}, {how}: {span:?} is new", path.display())));
            }
        }
    }
}

#[test]
fn connections_that_have_nothing_to_do_with_each_other_do_not_mix() {
    for (path, records) in captures() {
        let expected = yaml(&replay(&records).spans);
        let spans = replay(&with_twin(&records)).spans;
        let (twins, own): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.tgid >= 1 << 23);
        assert!(
            yaml(&own) == expected,
            "{}\n--- expected:\n{expected}--- found:\n{}",
            path.display(),
            yaml(&own)
        );
        assert!(yaml(&twins) == expected, "{}: the twin\n{}", path.display(), yaml(&twins));
    }
}
