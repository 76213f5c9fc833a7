//! Keys: the paths of all keys of the configuration, read from the file that documents them.

use std::sync::LazyLock;

use super::{DEFAULT_FILE, near::nearest};

/// The path of a key from the top of the file.
pub(super) type Path = Vec<&'static str>;

/// Every key of the default file, in its order: `capture`, then `capture.ring`.
pub(super) fn all() -> &'static [Path] {
    static KEYS: LazyLock<Vec<Path>> = LazyLock::new(|| read(DEFAULT_FILE));
    &KEYS
}

/// Reads the block style of the default file: a key for each line that is one.
fn read(text: &'static str) -> Vec<Path> {
    let mut paths = Vec::new();
    let mut open: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        let Some((key, _)) = content.split_once(':').filter(|_| !content.starts_with('#')) else { continue };
        let indent = line.len() - content.len();
        open.retain(|(outer, _)| *outer < indent);
        open.push((indent, key));
        paths.push(open.iter().map(|(_, key)| *key).collect());
    }
    paths
}

/// What to say of a key that does not exist where these exist.
pub(super) fn unknown(key: &str, here: &[&'static str]) -> String {
    let elsewhere = || all().iter().find(|path| path.len() > 1 && path.last() == Some(&key));
    let hint = if let Some(near) = nearest(key, here.iter().copied()) {
        format!(": did you mean `{near}`?")
    } else if let Some([outer @ .., _]) = elsewhere().map(Vec::as_slice) {
        format!(" here: it belongs to `{}`, indented.", outer.join("."))
    } else {
        ".".to_owned()
    };
    format!("unknown key `{key}`{hint} Expected {}", list(here, "or"))
}

/// `a, b or c`.
pub(super) fn list(words: &[&str], last: &str) -> String {
    match words {
        [] => "none".to_owned(),
        [word] => format!("`{word}`"),
        [words @ .., end] => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("{} {last} `{end}`", words.join(", "))
        }
    }
}
