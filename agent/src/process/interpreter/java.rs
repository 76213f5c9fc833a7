//! The JVM's arguments.

use super::{name, stem};

/// Options whose value is the next argument (`java --help`, `java --help-extra`).
const VALUED: &[&str] = &[
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--upgrade-module-path",
    "--add-modules",
    "--add-exports",
    "--add-opens",
    "--add-reads",
    "--enable-final-field-mutation",
    "--enable-native-access",
    "--limit-modules",
    "--patch-module",
    "--source",
];

/// Those with two dashes that have no value. Of others nobody knows.
const FLAGS: &[&str] =
    &["--enable-preview", "--show-module-resolution", "--show-version", "--disable-@files"];

pub(super) fn program(arguments: &[&str]) -> Option<String> {
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        match argument {
            "-jar" => return stem(arguments.next()?),
            "-m" | "--module" => return main_module(arguments.next()?),
            _ if VALUED.contains(&argument) => {
                arguments.next()?;
            }
            // An argument file: the class may stand in it.
            _ if argument.starts_with('@') => return None,
            _ if argument.starts_with('-') => {
                if let Some(module) = argument.strip_prefix("--module=") {
                    return main_module(module);
                }
                if argument.starts_with("--") && !argument.contains('=') && !FLAGS.contains(&argument) {
                    return None;
                }
            }
            // A source file, or a class with its package.
            _ if argument.ends_with(".java") => return stem(argument),
            _ => return name(argument).map(str::to_owned),
        }
    }
    None
}

/// `shop` of `shop/com.example.Main`.
fn main_module(text: &str) -> Option<String> {
    name(text.split('/').next().unwrap_or(text)).map(str::to_owned)
}
