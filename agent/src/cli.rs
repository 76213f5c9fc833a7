//! The command line of `spandrel`: definitions and help texts only; [`crate::config`] gives the values meaning.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Traces programs that were never instrumented: their HTTP requests become OpenTelemetry spans.
#[derive(Debug, Parser)]
#[command(name = "spandrel", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  spandrel doctor                               can this machine be traced?
  spandrel run -- python3 app.py                trace one program, show its traces here
  spandrel run --export json=spans.jsonl -- ./server
  spandrel agent --export otlp=http://localhost:4318 --config /etc/spandrel.yaml")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a program and trace it and everything it starts
    Run(Run),
    /// Trace programs that already run and those that start later, as the configuration selects
    Agent(Agent),
    /// Say what this machine allows, what is missing, and how to get it
    Doctor(Doctor),
    /// Write what the kernel side reports to a file, for `replay`
    Record(Record),
    /// Turn a recording into spans; needs no privileges
    Replay(Replay),
    /// Show the configuration
    Config(ShowConfig),
}

/// Options that every command that makes spans shares.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Configuration file (YAML); `spandrel config --print` shows every key with its default
    #[arg(long, value_name = "FILE", env = "SPANDREL_CONFIG")]
    pub config: Option<PathBuf>,

    /// Where spans go; may be repeated. `console`: a live tree of each trace;
    /// `json=FILE`: OTLP/JSON lines; `otlp[=URL]`, `otlp-http[=URL]`, `otlp-grpc[=URL]`: an
    /// OpenTelemetry collector; `zipkin[=URL]`: a Zipkin.
    /// Without it: the configuration's, else `console` under `run` and `otlp` under `agent`
    #[arg(long, value_name = "NAME[=DESTINATION]")]
    pub export: Vec<String>,

    /// What is logged to standard error: error, warn, info, debug, trace, or
    /// directives such as `warn,agent::export=debug`
    #[arg(long, value_name = "LEVEL", env = "SPANDREL_LOG")]
    pub log: Option<String>,
}

#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub options: Options,

    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub struct Agent {
    #[command(flatten)]
    pub options: Options,
}

#[derive(Args, Debug)]
pub struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Record {
    #[command(flatten)]
    pub options: Options,

    /// Leave credentials, cookies, bodies and the like in the recording: without it they are
    /// overwritten, and a replay gives the same spans
    #[arg(long)]
    pub raw: bool,

    /// The file to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Record this program and everything it starts, after `--`; without it, what the
    /// configuration selects is recorded until Ctrl-C
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub struct Replay {
    #[command(flatten)]
    pub options: Options,

    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args, Debug)]
pub struct ShowConfig {
    /// Print the default configuration with an explanation of every key
    #[arg(long, required = true)]
    pub print: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_traced_command_keeps_its_own_options() {
        let cli =
            Cli::try_parse_from(["spandrel", "run", "--export", "console", "--", "curl", "--export", "x"]);
        let Ok(Cli { command: Command::Run(run) }) = cli else { panic!("{cli:?}") };
        assert_eq!(run.options.export, ["console"]);
        assert_eq!(run.command, ["curl", "--export", "x"]);
    }

    #[test]
    fn run_without_a_command_is_refused() {
        assert!(Cli::try_parse_from(["spandrel", "run"]).is_err());
    }

    #[test]
    fn record_takes_a_file_and_perhaps_a_command() {
        let cli = Cli::try_parse_from(["spandrel", "record", "out.records"]);
        let Ok(Cli { command: Command::Record(record) }) = cli else { panic!("{cli:?}") };
        assert!(record.command.is_empty());
        let cli = Cli::try_parse_from(["spandrel", "record", "out.records", "--", "curl"]);
        let Ok(Cli { command: Command::Record(record) }) = cli else { panic!("{cli:?}") };
        assert_eq!(record.command, ["curl"]);
    }
}
