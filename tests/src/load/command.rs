//! The command line of the load: `ADDRESS TARGET [KEY=VALUE]...` says `ready`, waits for a line on standard input, sends,
//! and prints `succeeded=N failed=N elapsed_ns=N`. Exit status 1 if a request failed.

use std::{
    io::{Write, stdin, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};

use super::Load;
use crate::http::Address;

/// Runs it.
#[expect(clippy::print_stdout, reason = "this is what the program is for")]
pub fn main(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let [address, target, settings @ ..] = arguments else {
        bail!("usage: ADDRESS TARGET [KEY=VALUE]...");
    };
    let mut load = Load::new(Address::parse(address).context("ADDRESS is HOST:PORT or unix:PATH")?, target);
    for setting in settings {
        let (key, value) =
            setting.split_once('=').with_context(|| format!("{setting:?} is not KEY=VALUE"))?;
        match key {
            "requests" => load.requests = value.parse()?,
            "connections" => load.connections = value.parse()?,
            "pipeline" => load.pipeline = value.parse()?,
            "seconds" => load.duration = Some(Duration::from_secs_f64(value.parse()?)),
            "rate" => load.rate = Some(value.parse()?),
            "methods" => load.methods = value.split(',').map(str::to_owned).collect(),
            "reconnect" => load.reconnect = value.parse()?,
            "traceparent" => load.traceparent = value.parse()?,
            "expect" => load.expect = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            _ => bail!("unknown setting {key:?}"),
        }
    }
    println!("ready");
    stdout().flush()?;
    stdin().read_line(&mut String::new())?;
    let outcome = super::run(&load);
    println!(
        "succeeded={} failed={} elapsed_ns={}",
        outcome.succeeded,
        outcome.failed.len(),
        outcome.elapsed.as_nanos()
    );
    for failure in outcome.failed.iter().take(10) {
        eprintln!("{failure}");
    }
    Ok(if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
