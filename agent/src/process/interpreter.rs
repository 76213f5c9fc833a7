//! What an interpreter runs: the script, jar or module that names a service better than `python3` does.
//!
//! In: the executable's file name and its arguments. Out: a name, or `None` where the arguments do not say.

/// How a family of interpreters reads its arguments.
struct Interpreter {
    /// File names; a version may follow (`python3.11`, `php8.2`, `ruby3.1`).
    names: &'static [&'static str],
    /// Options whose value is the next argument.
    valued: &'static [&'static str],
    /// Options whose value is the program: the next argument.
    program: &'static [&'static str],
    /// Options after which there is no script: code on the command line.
    inline: &'static [&'static str],
    /// Words in front of the script.
    words: &'static [&'static str],
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: &["node", "nodejs"],
        valued: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--title",
            "--env-file",
            "--disable-warning",
            "--input-type",
            "--stack-trace-limit",
            "--icu-data-dir",
        ],
        program: &[],
        inline: &["-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive", "--run"],
        words: &["inspect"],
    },
    Interpreter {
        names: &["deno", "bun"],
        valued: &["-c", "--config", "--import-map", "-r", "--preload", "--env-file", "-L", "--log-level"],
        program: &[],
        inline: &["-e", "--eval", "-p", "--print", "eval", "repl", "test", "install", "x"],
        words: &["run", "serve", "--"],
    },
    Interpreter {
        names: &["ruby", "jruby", "truffleruby"],
        valued: &["-r", "-I", "-C", "-E", "--encoding"],
        program: &[],
        inline: &["-e"],
        words: &[],
    },
    Interpreter { names: &["perl"], valued: &["-I"], program: &[], inline: &["-e", "-E"], words: &[] },
    Interpreter {
        names: &["php", "php-cgi"],
        valued: &["-d", "-c", "-z", "-S", "-t", "--define", "--php-ini", "--server", "--docroot"],
        program: &["-f", "--file"],
        inline: &["-r", "--run", "-B", "-R", "-E", "-a"],
        words: &[],
    },
    Interpreter {
        names: &["dotnet"],
        valued: &[
            "--additionalprobingpath",
            "--additional-deps",
            "--depsfile",
            "--runtimeconfig",
            "--fx-version",
            "--roll-forward",
        ],
        program: &[],
        inline: &["run", "build", "watch", "test", "publish", "restore", "tool"],
        words: &["exec"],
    },
    Interpreter {
        names: &["sh", "bash", "dash", "ash", "ksh", "zsh"],
        valued: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
        program: &[],
        inline: &["-c", "-ec", "-lc", "-xc", "-exc", "-s", "-i"],
        words: &[],
    },
    Interpreter {
        names: &["lua", "luajit", "tclsh", "Rscript"],
        valued: &["-l"],
        program: &[],
        inline: &["-e"],
        words: &[],
    },
];

/// The JVM's options whose value is the next argument (`java --help`).
const JAVA_VALUED: &[&str] = &[
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
    "--limit-modules",
    "--patch-module",
    "--source",
];

/// Servers that run an application named by an argument `module:attribute`.
const APPLICATION_SERVERS: &[&str] =
    &["gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve"];

/// What the interpreter runs.
pub(super) fn program(executable: &str, arguments: &[&str]) -> Option<String> {
    let rest = arguments.get(1..).unwrap_or_default();
    if is_named(executable, &["python", "pypy", "uwsgi"]) || APPLICATION_SERVERS.contains(&executable) {
        return python(executable, arguments);
    }
    if executable == "java" {
        return java(rest);
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
    while let Some(argument) = arguments.next() {
        if interpreter.inline.contains(&argument) {
            return None;
        } else if interpreter.program.contains(&argument) {
            return arguments.next();
        } else if interpreter.valued.contains(&argument) {
            arguments.next()?;
        } else if argument == "--"
            || interpreter.words.contains(&argument)
            || argument.starts_with(['-', '+'])
        {
            continue;
        } else {
            return Some(argument);
        }
    }
    None
}

/// Python's own options come in clusters (`-um module`); what runs may be a server for another module.
fn python(executable: &str, arguments: &[&str]) -> Option<String> {
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
            return Some(if APPLICATION_SERVERS.contains(&name.as_str()) {
                server(&name, after)
            } else {
                name
            });
        }
    }
    None
}

/// `python -m NAME`: the module, or what it serves.
fn module(name: &str, arguments: &[&str]) -> Option<String> {
    let name = name.strip_suffix(".__main__").unwrap_or(name);
    let name = if name.starts_with("uvicorn") { "uvicorn" } else { name };
    if APPLICATION_SERVERS.contains(&name) {
        return Some(server(name, arguments));
    }
    if name == "flask" {
        let app = arguments.iter().position(|argument| matches!(*argument, "--app" | "-A"));
        let app = app.and_then(|index| arguments.get(index + 1)).and_then(|app| application(app));
        return Some(app.unwrap_or_else(|| "flask".to_owned()));
    }
    (!name.is_empty()).then(|| name.to_owned())
}

/// The application that a server serves, or the server if the arguments do not say.
fn server(name: &str, arguments: &[&str]) -> String {
    let served = arguments.iter().find(|argument| {
        let module = argument.split_once(':').map_or("", |(module, _)| module);
        // `module:attribute`, unlike `--bind 0.0.0.0:80`, `unix:/run/x`, `[::]:80` or a URL.
        !argument.starts_with('-')
            && !argument.contains('/')
            && is_module(module)
            && argument.split_once(':').is_some_and(|(_, attribute)| {
                attribute.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            })
    });
    served.and_then(|argument| application(argument)).unwrap_or_else(|| name.to_owned())
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

fn java(arguments: &[&str]) -> Option<String> {
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        match argument {
            "-jar" => return stem(arguments.next()?),
            "-m" | "--module" => return arguments.next().map(main_module),
            _ if JAVA_VALUED.contains(&argument) => {
                arguments.next()?;
            }
            // An argument file: the class may stand in it.
            _ if argument.starts_with('@') => return None,
            _ if argument.starts_with('-') => {
                if let Some(module) = argument.strip_prefix("--module=") {
                    return Some(main_module(module));
                }
            }
            // A source file, or a class with its package.
            _ if argument.ends_with(".java") => return stem(argument),
            _ => return Some(argument.to_owned()),
        }
    }
    None
}

/// `shop` of `shop/com.example.Main`.
fn main_module(text: &str) -> String {
    text.split('/').next().unwrap_or(text).to_owned()
}

/// The file name without its extension; of `shop/__main__.py`, and of `shop/` itself, the directory's.
fn stem(path: &str) -> Option<String> {
    // A descriptor is no name: `bash /dev/fd/63`.
    if path.starts_with("/dev/") || path.starts_with("/proc/") {
        return None;
    }
    let path = path.strip_suffix("/__main__.py").unwrap_or(path).trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && is_extension(extension) => stem,
        _ => name,
    };
    (!stem.is_empty() && stem != "." && stem != "-").then(|| stem.to_owned())
}

/// `v1.2` has none, `app.min.js` has `js`.
fn is_extension(text: &str) -> bool {
    const KNOWN: &[&str] = &[
        "py", "pyc", "pyz", "pex", "js", "mjs", "cjs", "ts", "mts", "tsx", "jar", "war", "java", "rb", "ru",
        "pl", "php", "phar", "dll", "exe", "sh", "bash", "lua", "tcl", "R", "r",
    ];
    KNOWN.contains(&text)
}
