//! How the interpreters that name no module read their arguments.

/// How a family of interpreters reads its arguments.
pub(super) struct Interpreter {
    /// File names; a version may follow (`php8.2`, `ruby3.1`).
    pub(super) names: &'static [&'static str],
    /// What stands behind one dash, if that is letters; `None`: it is a word like those behind two.
    pub(super) letters: Option<Letters>,
    /// Options whose value is the next argument, unless `=` stands before it.
    pub(super) valued: &'static [&'static str],
    /// Options whose value is the program: likewise.
    pub(super) program: &'static [&'static str],
    /// Options after which there is no script: code on the command line.
    pub(super) inline: &'static [&'static str],
    /// Words in front of the script.
    pub(super) words: &'static [&'static str],
    /// Which other word is the script.
    pub(super) word: Word,
    /// `_` in an option is `-`.
    pub(super) underscores: bool,
}

/// Options of one letter, which may stand together: `-euo pipefail`. All others have no value.
pub(super) struct Letters {
    /// Code follows, or comes on standard input.
    pub(super) inline: &'static str,
    /// The rest of the argument is the value, whatever it is.
    pub(super) attached: &'static str,
    /// The rest of the argument is the value, or the next argument where nothing is left.
    pub(super) valued: &'static str,
    /// The next argument is the value, and the letters go on.
    pub(super) next: &'static str,
    /// Like `valued`: the value is the program.
    pub(super) program: &'static str,
}

/// Which word that is no option is the script.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// Each.
    Script,
    /// Behind an option that is not known only what is a file to look at.
    File,
    /// Only what is a file to look at: others are tasks, or words of the tool's own.
    FileOnly,
}

const NO_LETTERS: Letters = Letters { inline: "", attached: "", valued: "", next: "", program: "" };
const PLAIN: Interpreter = Interpreter {
    names: &[],
    letters: None,
    valued: &[],
    program: &[],
    inline: &[],
    words: &[],
    word: Word::Script,
    underscores: false,
};

pub(super) const INTERPRETERS: &[Interpreter] = &[
    // Of Node.js 20 to 24, `node --help`; options of V8 take their value behind `=` only.
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
            "--env-file-if-exists",
            "--disable-warning",
            "--disable-proto",
            "--input-type",
            "--experimental-default-type",
            "--experimental-config-file",
            "--experimental-policy",
            "--policy-integrity",
            "--stack-trace-limit",
            "--icu-data-dir",
            "--openssl-config",
            "--allow-fs-read",
            "--allow-fs-write",
            "--build-snapshot-config",
            "--snapshot-blob",
            "--cpu-prof-dir",
            "--cpu-prof-interval",
            "--cpu-prof-name",
            "--heap-prof-dir",
            "--heap-prof-interval",
            "--heap-prof-name",
            "--heapsnapshot-near-heap-limit",
            "--heapsnapshot-signal",
            "--diagnostic-dir",
            "--redirect-warnings",
            "--dns-result-order",
            "--inspect-port",
            "--debug-port",
            "--inspect-publish-uid",
            "--localstorage-file",
            "--max-http-header-size",
            "--network-family-autoselection-attempt-timeout",
            "--report-directory",
            "--report-dir",
            "--report-filename",
            "--report-signal",
            "--secure-heap",
            "--secure-heap-min",
            "--test-concurrency",
            "--test-coverage-branches",
            "--test-coverage-exclude",
            "--test-coverage-functions",
            "--test-coverage-include",
            "--test-coverage-lines",
            "--test-global-setup",
            "--test-isolation",
            "--experimental-test-isolation",
            "--test-name-pattern",
            "--test-skip-pattern",
            "--test-reporter",
            "--test-reporter-destination",
            "--test-rerun-failures",
            "--test-shard",
            "--test-timeout",
            "--tls-cipher-list",
            "--tls-keylog",
            "--trace-event-categories",
            "--trace-event-file-pattern",
            "--trace-require-module",
            "--unhandled-rejections",
            "--use-largepages",
            "--v8-pool-size",
            "--watch-kill-signal",
            "--watch-path",
        ],
        inline: &["-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive", "--run", "--test"],
        words: &["inspect"],
        word: Word::File,
        underscores: true,
        ..PLAIN
    },
    Interpreter {
        names: &["deno"],
        valued: &[
            "-c",
            "--config",
            "--import-map",
            "--preload",
            "--import",
            "--require",
            "--env-file",
            "-L",
            "--log-level",
            "--port",
            "--host",
            "--seed",
            "--location",
            "--cert",
            "--ext",
            "--conditions",
        ],
        inline: &["-p", "--print"],
        words: &["run", "serve"],
        word: Word::FileOnly,
        ..PLAIN
    },
    Interpreter {
        names: &["bun"],
        valued: &[
            "-c",
            "--config",
            "-r",
            "--preload",
            "--require",
            "--import",
            "--env-file",
            "--cwd",
            "--port",
            "--conditions",
            "-d",
            "--define",
            "--drop",
            "-l",
            "--loader",
            "-F",
            "--filter",
            "--console-depth",
            "--dns-result-order",
            "--elide-lines",
            "--extension-order",
            "--fetch-preconnect",
            "--install",
            "--main-fields",
            "--max-http-header-size",
            "--redis-preconnect",
            "--shell",
            "--sql-preconnect",
            "--title",
            "--tsconfig-override",
            "--unhandled-rejections",
            "--user-agent",
        ],
        inline: &["-e", "--eval", "-p", "--print"],
        words: &["run"],
        word: Word::FileOnly,
        ..PLAIN
    },
    // `-W` and `-T` have their level attached, and letters follow it; `-W:no-deprecated` has a category.
    Interpreter {
        names: &["ruby", "jruby", "truffleruby"],
        letters: Some(Letters { inline: "e", attached: ":FixJ", valued: "CEIXr", ..NO_LETTERS }),
        valued: &[
            "--encoding",
            "--external-encoding",
            "--internal-encoding",
            "--enable",
            "--disable",
            "--backtrace-limit",
            "--crash-report",
            "--dump",
            "--parser",
        ],
        ..PLAIN
    },
    // perlrun: `-0` and `-l` have digits attached, and letters follow them; `-0xFF` has others.
    Interpreter {
        names: &["perl"],
        letters: Some(Letters { inline: "eE", attached: ":CDFMimx", valued: "I", ..NO_LETTERS }),
        ..PLAIN
    },
    Interpreter {
        names: &["php", "php-cgi"],
        letters: Some(Letters { inline: "rBREa", valued: "STbcdtz", program: "fF", ..NO_LETTERS }),
        valued: &["--define", "--php-ini", "--server", "--docroot", "--zend-extension", "--bindpath"],
        program: &["--file", "--process-file"],
        inline: &["--run", "--process-begin", "--process-code", "--process-end", "--interactive"],
        ..PLAIN
    },
    // What is no file is a command of the SDK.
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
        words: &["exec"],
        word: Word::FileOnly,
        ..PLAIN
    },
    // A single `-` is `--` to a shell.
    Interpreter {
        names: &["sh", "bash", "dash", "ash"],
        letters: Some(Letters { inline: "cs", next: "oO", ..NO_LETTERS }),
        valued: &["--rcfile", "--init-file"],
        words: &["-"],
        ..PLAIN
    },
    Interpreter {
        names: &["ksh", "zsh"],
        letters: Some(Letters { inline: "cs", valued: "o", ..NO_LETTERS }),
        valued: &["--emulate"],
        words: &["-"],
        ..PLAIN
    },
    Interpreter {
        names: &["lua", "luajit"],
        letters: Some(Letters { inline: "eb", attached: "O", valued: "lj", ..NO_LETTERS }),
        ..PLAIN
    },
    Interpreter { names: &["tclsh", "Rscript"], valued: &["-encoding"], inline: &["-e"], ..PLAIN },
];
