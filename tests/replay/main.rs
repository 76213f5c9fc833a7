//! Captures of real programs, replayed without a kernel: as they are, cut at every byte, with every single record missing,
//! and mixed with a twin. `SPANDREL_BLESS=1` writes the golden files anew; the difference is reviewed.

mod late;

use std::{
    fs,
    path::{Path, PathBuf},
};

use acceptance::{
    recording::read,
    replay::{identity, replay, yaml},
    variation::{Records, every_cut, every_loss, in_pieces_of, with_twin},
};

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
        for (how, varied) in pieces.into_iter().chain(every_cut(&records)) {
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
        let before: Vec<_> = replay(&records).spans.iter().map(identity).collect();
        for (how, varied) in every_loss(&records) {
            let outcome = replay(&varied);
            let (seen, rest) = outcome.accounting.sides();
            assert_eq!(seen, rest, "{}, {how}", path.display());
            let mut left = before.clone();
            for span in &outcome.spans {
                // A target whose rest was lost is cut and marked: it stands for one that starts so.
                let cut =
                    span.attributes.iter().any(|attribute| attribute.key == "spandrel.target_truncated");
                let span = identity(span);
                let start = span.trim_end_matches("\")");
                let at = left.iter().position(|known| *known == span || cut && known.starts_with(start));
                left.swap_remove(at.unwrap_or_else(|| panic!("{}, {how}: {span} is new", path.display())));
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
