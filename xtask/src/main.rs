//! `cargo xtask`: builds, tests and shows Spandrel. This file knows the subcommands, nothing else.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod build;
mod exec;
mod packages;
mod toolchain;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};

use crate::build::Profile;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  build [--release | --profile dev|quick|release]
        Builds the BPF programs and `spandrel` with them inside; --release makes one static file.

Every command installs what it needs and is safe to repeat. `cargo xtask COMMAND --help` says more.";

fn main() -> ExitCode {
    match dispatch(Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut arguments: Parser) -> Result<()> {
    let command = match arguments.next()? {
        Some(Arg::Value(command)) => command.string()?,
        None | Some(Arg::Short('h') | Arg::Long("help")) => {
            println!("{HELP}");
            return Ok(());
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "build" => build(arguments),
        _ => bail!("unknown command `{command}`\n\n{HELP}"),
    }
}

fn build(mut arguments: Parser) -> Result<()> {
    let mut profile = Profile::Dev;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Short('r') | Arg::Long("release") => profile = Profile::Release,
            Arg::Long("profile") => profile = Profile::parse(&arguments.value()?.string()?)?,
            other => return Err(other.unexpected().into()),
        }
    }
    let program = build::all(profile)?;
    println!("{}", program.display());
    Ok(())
}
