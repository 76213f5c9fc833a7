//! Starts things; contains no logic.

use std::process::ExitCode;

use agent::{cli::Cli, command};
use clap::Parser as _;

fn main() -> ExitCode {
    match command::execute(Cli::parse().command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("spandrel: {error:#}");
            ExitCode::FAILURE
        }
    }
}
