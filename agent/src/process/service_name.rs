//! `service.name` where the program does not state it.

use super::interpreter;

/// The systemd unit, else what an interpreter runs, else `unknown_service:<executable>` as the conventions have it.
pub(super) fn service_name(unit: Option<&str>, path: &str, arguments: &[&str]) -> String {
    if let Some(unit) = unit {
        return unit_name(unit);
    }
    let executable = path.rsplit('/').next().unwrap_or(path);
    if let Some(program) = interpreter::program(executable, arguments) {
        return program;
    }
    if executable.is_empty() { "unknown_service".to_owned() } else { format!("unknown_service:{executable}") }
}

/// `shop` of `shop.service` and of `shop@1.service`. Undoes systemd's escapes (`shop\x2dweb`).
fn unit_name(unit: &str) -> String {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    let name = name.split_once('@').map_or(name, |(template, _)| template);
    let mut parts = name.split("\\x");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                result.push(char::from(code));
                result.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                result.push_str("\\x");
                result.push_str(part);
            }
        }
    }
    result
}

#[cfg(test)]
mod tests;
