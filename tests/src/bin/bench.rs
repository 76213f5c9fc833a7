//! The benchmark: `bench [--spandrel PATH] [--rounds N] [--seconds N] [--output FILE]`.
//!
//! Writes the page (default `docs/benchmarks.md`) and prints it. Exit status 1 if a requirement is missed.
//! `--load`, `--sink` and `--unselected` are the processes that it starts of itself.

#![expect(clippy::print_stdout, reason = "a command line program")]

use std::{
    fs,
    io::{Write, stdout},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use acceptance::{
    bench::{self, Plan, report},
    http::Connection,
};
use anyhow::{Context, bail};

fn main() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let mut plan = Plan { spandrel: PathBuf::new(), program, rounds: 3, seconds: 10 };
    let mut page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let mut spandrel = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--sink" => return discard().map(|()| ExitCode::SUCCESS),
            "--load" => return acceptance::load::command::main(&arguments.collect::<Vec<_>>()),
            "--unselected" => {
                let (getppid, read) = bench::unselected();
                println!("{getppid} {read}");
                return Ok(ExitCode::SUCCESS);
            }
            "--spandrel" => spandrel = Some(value()?.into()),
            "--rounds" => plan.rounds = value()?.parse()?,
            "--seconds" => plan.seconds = value()?.parse()?,
            "--output" => page = value()?.into(),
            _ => bail!("unknown argument {argument:?}"),
        }
    }
    plan.spandrel = spandrel.unwrap_or_else(acceptance::spandrel::binary);
    let results = bench::run(&plan, |step| eprintln!("{step}"));
    let (text, missed) = report(&plan, &results);
    print!("{text}");
    if let Some(directory) = page.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(&page, &text).with_context(|| format!("write {}", page.display()))?;
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A collector that says yes to everything and keeps nothing.
fn discard() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("listening on http://{}", listener.local_addr()?);
    stdout().flush()?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(stream: TcpStream) {
    let mut connection = Connection::new(stream);
    while let Ok(Some(_)) = connection.receive(false) {
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if connection.send(answer).is_err() {
            return;
        }
    }
}
