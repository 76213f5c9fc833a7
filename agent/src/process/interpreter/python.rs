//! Python's arguments, and those of the servers that run an application named by `module:attribute`.

use super::{is_named, name, stem};

const APPLICATION_SERVERS: &[&str] =
    &["gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve"];

/// The servers' options that have no value; so has what begins with `--no-`. Any other one is taken to have one: it may
/// look like an application (`-c python:conf`, `--logger-class shop:Logger`).
const FLAGS: &[&str] = &[
    "--access-log",
    "--asyncore-use-poll",
    "--call",
    "--capture-output",
    "--casefold-http-method",
    "--check-config",
    "--clear-untrusted-proxy-headers",
    "--daemon",
    "-D",
    "--date-header",
    "--debug",
    "--disable-redirect-access-to-syslog",
    "--do-handshake-on-connect",
    "--enable-stdio-inheritance",
    "--expose-tracebacks",
    "--factory",
    "--http1-keep-alive",
    "--http1-pipeline-flush",
    "--http2-adaptive-window",
    "--initgroups",
    "--ipv4",
    "--ipv6",
    "--log",
    "--log-socket-errors",
    "--log-syslog",
    "--log-untrusted-proxy-headers",
    "--metrics",
    "--permit-obsolete-folding",
    "--permit-unconventional-http-method",
    "--permit-unconventional-http-version",
    "--preload",
    "--print-config",
    "--proxy-headers",
    "-R",
    "--reload",
    "--reset-contextvars",
    "--respawn-failed-workers",
    "--reuse-port",
    "--server-header",
    "--spew",
    "--ssl-client-verify",
    "--strip-header-spaces",
    "--suppress-ragged-eofs",
    "--use-colors",
    "--use-reloader",
    "--ws",
];

/// Whether this executable takes such arguments.
pub(super) fn runs(executable: &str) -> bool {
    is_named(executable, &["python", "pypy", "uwsgi"]) || APPLICATION_SERVERS.contains(&executable)
}

/// Python's own options come in clusters (`-um module`); what runs may be a server for another module.
pub(super) fn program(executable: &str, arguments: &[&str]) -> Option<String> {
    let rest = arguments.get(1..).unwrap_or_default();
    // `setproctitle` leaves one argument: `gunicorn: worker [shop:app]`.
    if let Some(title) = arguments.first().and_then(|title| title.strip_prefix("gunicorn: ")) {
        return application(title.split_once('[')?.1.strip_suffix(']')?);
    }
    if APPLICATION_SERVERS.contains(&executable) {
        return Some(server(executable, rest));
    }
    if is_named(executable, &["uwsgi"]) {
        return uwsgi(rest);
    }
    let mut index = 0;
    while let Some(&argument) = rest.get(index) {
        index += 1;
        let after = rest.get(index..).unwrap_or_default();
        if argument == "--check-hash-based-pycs" {
            index += 1;
        } else if let Some(cluster) = argument.strip_prefix('-').filter(|cluster| !cluster.starts_with('-')) {
            let Some(at) = cluster.find(['m', 'c', 'W', 'X', 'Q']) else {
                if cluster.is_empty() {
                    return None; // `-`: the program comes on standard input.
                }
                continue;
            };
            let (option, value) = cluster.split_at(at).1.split_at(1);
            match option {
                "m" if value.is_empty() => return module(after.first()?, after.get(1..).unwrap_or_default()),
                "m" => return module(value, after),
                "c" => return None,
                _ if value.is_empty() => index += 1,
                _ => {}
            }
        } else if !argument.starts_with('-') {
            let name = stem(argument)?;
            return Some(served(&name, after).unwrap_or(name));
        }
    }
    None
}

/// `python -m NAME`: the module, or what it serves.
fn module(text: &str, arguments: &[&str]) -> Option<String> {
    let module = text.strip_suffix(".__main__").unwrap_or(text);
    let module = if module.starts_with("uvicorn") { "uvicorn" } else { module };
    served(module, arguments).or_else(|| name(module).map(str::to_owned))
}

/// What a module or script serves, if it is known to serve others.
fn served(name: &str, arguments: &[&str]) -> Option<String> {
    if APPLICATION_SERVERS.contains(&name) {
        return Some(server(name, arguments));
    }
    if name == "flask" { flask(arguments) } else { None }
}

/// The application that a server serves, or the server if the arguments do not say.
fn server(name: &str, arguments: &[&str]) -> String {
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        if argument.starts_with('-') {
            // `-w4` and `--workers=4` have theirs with them.
            let alone =
                if argument.starts_with("--") { !argument.contains('=') } else { argument.len() == 2 };
            if alone && !FLAGS.contains(&argument) && !argument.starts_with("--no-") {
                arguments.next();
            }
            continue;
        }
        // `module:attribute`, unlike `0.0.0.0:80`, `unix:/run/x`, `[::]:80` or a URL.
        let Some((_, attribute)) = argument.split_once(':') else { continue };
        if attribute.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && let Some(application) = application(argument)
        {
            return application;
        }
    }
    name.to_owned()
}

/// `--app shop`, `--app=shop:create()`, `-A src/shop.py`.
fn flask(arguments: &[&str]) -> Option<String> {
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        let app = match argument {
            "--app" | "-A" => arguments.next()?,
            _ => match argument.strip_prefix("--app=") {
                Some(app) => app,
                None => continue,
            },
        };
        let module = app.split_once(':').map_or(app, |(module, _)| module);
        return application(module).or_else(|| stem(module));
    }
    None
}

fn uwsgi(arguments: &[&str]) -> Option<String> {
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        let (option, value) =
            argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
        match option {
            "-w" | "--module" | "--wsgi" => return application(value.or_else(|| arguments.next())?),
            "--wsgi-file" | "--file" => return stem(value.or_else(|| arguments.next())?),
            _ => {}
        }
    }
    None
}

/// `shop` of `shop:app`, `shop.web` of `shop.web:create()`, `shop` of `shop.py`.
fn application(text: &str) -> Option<String> {
    let module = text.split_once(':').map_or(text, |(module, _)| module);
    let module = module.strip_suffix(".py").unwrap_or(module);
    is_module(module).then(|| module.to_owned())
}

fn is_module(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}
