//! What an interpreter runs: the script, jar or module that names a service better than `python3` does.
//!
//! In: the executable's file name and its arguments. Out: a name, or `None` where the arguments do not say.
//!
//! Arguments may be code, and code may have secrets in it. What is not certainly the name of a file or a module is
//! no name: an option that is not known may or may not have a value, and the word behind it may be either.

mod java;
mod known;
mod python;

use self::known::{INTERPRETERS, Interpreter, Letters, Word};

/// What the interpreter runs.
pub(super) fn program(executable: &str, arguments: &[&str]) -> Option<String> {
    let rest = arguments.get(1..).unwrap_or_default();
    if python::runs(executable) {
        return python::program(executable, arguments);
    }
    if executable == "java" {
        return java::program(rest);
    }
    let interpreter = INTERPRETERS.iter().find(|known| is_named(executable, known.names))?;
    script(interpreter, rest).and_then(stem)
}

/// Whether a file name is one of these, a version aside.
fn is_named(executable: &str, names: &[&str]) -> bool {
    names.iter().any(|name| {
        let version = executable.strip_prefix(name);
        version
            .is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte)))
    })
}

fn script<'a>(interpreter: &Interpreter, arguments: &[&'a str]) -> Option<&'a str> {
    let mut arguments = arguments.iter().copied();
    // An option stands before that is not known: what follows may be its value.
    let mut unsure = false;
    while let Some(argument) = arguments.next() {
        if argument == "--" || interpreter.words.contains(&argument) {
            continue;
        }
        if !argument.starts_with(['-', '+']) {
            let certain = match interpreter.word {
                Word::Script => true,
                Word::File => !unsure || is_file(argument),
                Word::FileOnly => is_file(argument),
            };
            return certain.then_some(argument);
        }
        if argument == "-" {
            return None; // The program comes on standard input.
        }
        unsure = false;
        if let Some(letters) = interpreter.letters.as_ref().filter(|_| !argument.starts_with("--")) {
            match cluster(letters, argument) {
                Cluster::Flags => {}
                Cluster::Values(count) => {
                    for _ in 0..count {
                        arguments.next()?;
                    }
                }
                Cluster::Inline => return None,
                Cluster::Program("") => return arguments.next(),
                Cluster::Program(attached) => return Some(attached),
            }
            continue;
        }
        let (option, value) =
            argument.split_once('=').map_or((argument, None), |(option, value)| (option, Some(value)));
        let option = if interpreter.underscores { option.replace('_', "-") } else { option.to_owned() };
        if interpreter.inline.contains(&option.as_str()) {
            return None;
        } else if interpreter.program.contains(&option.as_str()) {
            return value.or_else(|| arguments.next());
        } else if interpreter.valued.contains(&option.as_str()) {
            if value.is_none() {
                arguments.next()?;
            }
        } else {
            unsure = value.is_none() && option.starts_with("--");
        }
    }
    None
}

/// What the letters behind one dash mean.
enum Cluster<'a> {
    Flags,
    /// So many of the next arguments are values.
    Values(usize),
    /// Code follows.
    Inline,
    /// The program follows: here, else as the next argument.
    Program(&'a str),
}

fn cluster<'a>(letters: &Letters, argument: &'a str) -> Cluster<'a> {
    let mut values = 0;
    let mut rest = argument.get(1..).unwrap_or_default().chars();
    while let Some(letter) = rest.next() {
        if letters.inline.contains(letter) {
            return Cluster::Inline;
        } else if letters.program.contains(letter) {
            return Cluster::Program(rest.as_str());
        } else if letters.attached.contains(letter) {
            break;
        } else if letters.valued.contains(letter) {
            values += usize::from(rest.as_str().is_empty());
            break;
        } else if letters.next.contains(letter) {
            values += 1;
        }
    }
    if values == 0 { Cluster::Flags } else { Cluster::Values(values) }
}

/// A word that is a file rather than the value of an option or the name of a task.
fn is_file(word: &str) -> bool {
    word.contains(['/', '.'])
}

/// The file name without its extension; of `shop/__main__.py`, and of `shop/` itself, the directory's.
fn stem(path: &str) -> Option<String> {
    // A descriptor is no name: `bash /dev/fd/63`.
    if path.starts_with("/dev/") || path.starts_with("/proc/") {
        return None;
    }
    let path = name(path)?;
    let path = path.strip_suffix("/__main__.py").unwrap_or(path).trim_end_matches('/');
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && is_extension(extension) => stem,
        _ => file,
    };
    name(stem).map(str::to_owned)
}

/// A text that is the path of a file, or the name of a module or class: not code, a number or a setting.
fn name(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_alphanumeric() || "_-./+@~,".contains(c);
    (text.chars().all(plain) && text.contains(char::is_alphabetic)).then_some(text)
}

/// `v1.2` has none, `app.min.js` has `js`.
fn is_extension(text: &str) -> bool {
    const KNOWN: &[&str] = &[
        "py", "pyc", "pyz", "pex", "js", "mjs", "cjs", "ts", "mts", "tsx", "jar", "war", "java", "rb", "ru",
        "pl", "php", "phar", "dll", "exe", "sh", "bash", "lua", "tcl", "R", "r",
    ];
    KNOWN.contains(&text)
}
