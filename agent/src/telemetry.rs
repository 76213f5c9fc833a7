//! What the agent says of itself: its log and the status line, both on standard error.

mod status;

use std::io;

pub use status::{Figures, StatusLine, above_status_line};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::MakeWriter};

/// What is logged unless `--log` says otherwise: under `run` the terminal belongs to the traced program.
pub const QUIET: &str = "warn";
/// What a service logs.
pub const NORMAL: &str = "info";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "--log {value}: {error}; expected error, warn, info, debug, trace, or directives such as warn,agent=debug"
    )]
    Filter { value: String, error: String },
    #[error("logging was set up twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this program. `requested` is what `--log` says.
pub fn init(requested: Option<&str>, default: &str) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    // An empty variable is an unset one.
    let value = requested.filter(|value| !value.is_empty()).unwrap_or(default);
    let filter = filter(value)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_writer(Writer)
        .finish()
        .try_init()?;
    Ok(())
}

fn filter(value: &str) -> Result<EnvFilter, LogError> {
    let refuse = |error: String| LogError::Filter { value: value.to_owned(), error };
    // A word that is no level would be taken for the name of a module, and log nothing else.
    let is_word = !value.contains(['=', ',', '[']);
    if is_word && value.parse::<LevelFilter>().is_err() {
        return Err(refuse("this is no level".to_owned()));
    }
    EnvFilter::try_new(value).map_err(|error| refuse(error.to_string()))
}

/// Writes log lines around the status line.
struct Writer;

impl<'a> MakeWriter<'a> for Writer {
    type Writer = status::Lines;

    fn make_writer(&'a self) -> Self::Writer {
        status::Lines::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for value in ["info", "WARN", "off", "warn,agent=debug", "agent::export=trace"] {
            assert!(filter(value).is_ok(), "{value}");
        }
        for value in ["loud", "agent=loud", "agent=debug,x=="] {
            let message = filter(value).unwrap_err().to_string();
            assert!(message.contains(value) && message.contains("expected error, warn"), "{message}");
        }
    }
}
