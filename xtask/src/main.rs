//! `cargo xtask`: builds, tests and shows Spandrel. This file knows the subcommands, nothing else.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an argument that is not expected is refused, whichever it is"
)]

mod build;
mod exec;
mod fuzz;
mod packages;
mod run;
mod test;
mod tidy;
mod toolchain;
mod verifier;
mod vm;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};

use crate::{build::Profile, test::Part};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo                   Five services in five languages, none instrumented, and the trace of one request.
  test [--only PART]... [--profile dev|quick|release]
                         Every test there is. Parts: lint, unit, replay, fuzz, live, backends, vm.
  build [--release | --profile dev|quick|release]
                         The BPF programs, and `spandrel` with them inside. --release makes one static
                         file, target/release/spandrel; quick is optimised, and quicker to build.
  lint                   Format, clippy for the host and for BPF, house rules.
  tidy                   The house rules alone: prototypes above hooks, file lengths, no paths of one machine.
  verifier [--kernel KERNEL]... [--bless]
                         What the kernel's verifier had to do for each BPF program, compared with
                         ebpf/verifier-budget.toml; --bless puts the numbers on record.
  vm --kernel KERNEL [--timeout SECONDS] [-- COMMAND [ARGUMENT]...]
                         Runs a command as root on another kernel: 5.10, 6.1, 6.12, 7.x or all. It sees this
                         machine's files; what it writes is gone afterwards. One word is a line for the
                         shell. Without a command: the smoke part of the live tests.
  fuzz [--target TARGET]... [--runs N | --seconds S]
                         Hostile input for the engine, chosen by what it reaches: 60 s for each target, or so
                         many inputs. What fails is kept in target/fuzz/failed; what reaches more, beside it.
  bench                  Costs of tracing, measured on this machine, into docs/benchmarks.md.
  capture NAME -- COMMAND [ARGUMENT]...
                         Records what the kernel side says of a command into tests/captures/NAME.records.

Each command installs what it needs, and says so first; without the right to install it prints the
command to run. All are safe to repeat.";

fn main() -> ExitCode {
    match dispatch(Parser::from_env()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut arguments: Parser) -> Result<u8> {
    let command = match arguments.next()? {
        Some(Arg::Value(command)) => command.string()?,
        None | Some(Arg::Short('h') | Arg::Long("help")) => "help".to_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    // Every command has the same short help: it fits a screen.
    if command == "help" || asks_for_help(&mut arguments)? {
        writeln!(io::stdout(), "{HELP}")?; // no panic where the reader is `head`
        return Ok(0);
    }
    match command.as_str() {
        "build" => build(arguments)?,
        "test" => test(arguments)?,
        "lint" => none(arguments).and_then(|()| test::lint())?,
        "tidy" => none(arguments).and_then(|()| tidy::run())?,
        "demo" => none(arguments).and_then(|()| run::demo())?,
        "fuzz" => fuzz(arguments)?,
        "bench" => none(arguments).and_then(|()| run::bench())?,
        "capture" => capture(arguments)?,
        "verifier" => verifier(arguments)?,
        "vm" => return vm(arguments),
        _ => bail!("unknown command `{command}`\n\n{HELP}"),
    }
    Ok(0)
}

fn asks_for_help(arguments: &mut Parser) -> Result<bool> {
    let words = arguments.raw_args()?;
    let mut own = words.as_slice().iter().take_while(|&word| word != "--");
    Ok(own.any(|word| word == "--help" || word == "-h"))
}

fn none(mut arguments: Parser) -> Result<()> {
    match arguments.next()? {
        Some(other) => Err(other.unexpected().into()),
        None => Ok(()),
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
    println!("{}", build::all(profile)?.display());
    Ok(())
}

fn test(mut arguments: Parser) -> Result<()> {
    let (mut parts, mut profile) = (Vec::new(), Profile::TESTED);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("profile") => profile = Profile::parse(&arguments.value()?.string()?)?,
            Arg::Long("only") => {
                for value in arguments.values()? {
                    parts.push(Part::parse(&value.string()?)?);
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    test::run(&parts, profile)
}

fn capture(mut arguments: Parser) -> Result<()> {
    let (mut name, mut command) = (None, Vec::new());
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) if name.is_none() => {
                name = Some(value.string()?);
                command = after_dashes(&mut arguments)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match name {
        Some(name) if !command.is_empty() => run::capture(&name, &command),
        _ => bail!("cargo xtask capture NAME -- COMMAND [ARGUMENT]..."),
    }
}

fn verifier(mut arguments: Parser) -> Result<()> {
    let (mut kernels, mut bless) = (Vec::new(), false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("kernel") => kernels.extend(vm::Series::parse(&arguments.value()?.string()?)?),
            Arg::Long("bless") => bless = true,
            other => return Err(other.unexpected().into()),
        }
    }
    verifier::run(&build::all(Profile::TESTED)?, &kernels, bless)
}

fn fuzz(mut arguments: Parser) -> Result<()> {
    let (mut targets, mut effort) = (Vec::new(), fuzz::Effort::Seconds(60));
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("target") => targets.push(fuzz::Target::parse(&arguments.value()?.string()?)?),
            Arg::Long("runs") => effort = fuzz::Effort::Runs(arguments.value()?.parse()?),
            Arg::Long("seconds") => effort = fuzz::Effort::Seconds(arguments.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    fuzz::run(&targets, effort)
}

fn vm(mut arguments: Parser) -> Result<u8> {
    let (mut kernels, mut timeout) = (Vec::new(), vm::TIMEOUT);
    let command = loop {
        let command = after_dashes(&mut arguments)?;
        match arguments.next()? {
            Some(Arg::Long("kernel")) => kernels.extend(vm::Series::parse(&arguments.value()?.string()?)?),
            Some(Arg::Long("timeout")) => timeout = Duration::from_secs(arguments.value()?.parse()?),
            Some(other) => return Err(other.unexpected().into()),
            None => break command,
        }
    };
    if kernels.is_empty() {
        bail!("which kernel? --kernel 5.10, 6.1, 6.12, 7.x or all");
    }
    if command.is_empty() {
        let passed = vm::smoke(&build::all(Profile::TESTED)?, &kernels, timeout)?;
        return passed.into_iter().collect::<Result<()>>().map(|()| 0);
    }
    vm::run(&command, &kernels, timeout)
}

/// The words after `--`, if that comes next.
fn after_dashes(arguments: &mut Parser) -> Result<Vec<String>> {
    let words = arguments.raw_args()?;
    if words.peek().is_none_or(|word| word != "--") {
        return Ok(Vec::new());
    }
    words.skip(1).map(|word| word.string().map_err(Into::into)).collect()
}
