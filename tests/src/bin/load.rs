//! The load generator as a process of its own, so that it can be traced, or measured, apart: see
//! [`acceptance::load::command`].

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    acceptance::load::command::main(&std::env::args().skip(1).collect::<Vec<_>>())
}
