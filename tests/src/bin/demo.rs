//! The demo: one request through five services that know nothing of tracing, printed as one trace.
//!
//! `demo [--spandrel PATH]`; exit status 0 only if the trace is exactly the expected tree.

#![expect(clippy::print_stdout, reason = "a command line program")]

use std::process::ExitCode;

use acceptance::{
    demo::{Services, TREE},
    spandrel::{Agent, Options},
    tree::{assert_tree, render},
    wait::{LONG, poll},
};
use anyhow::bail;

/// Both ends of four edges, and the request's arrival at A.
const SPANS: usize = 9;

/// The trace in what the agent wrote: its last lines, from the one that starts with the trace id.
fn tree_of(log: &str) -> &str {
    let tree = log.find("trace ").and_then(|start| log.get(start..)).unwrap_or(log);
    tree.split("\n---").next().unwrap_or(tree).trim_end()
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let binary = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => acceptance::spandrel::binary(),
        (Some("--spandrel"), Some(path)) => path.into(),
        _ => bail!("usage: demo [--spandrel PATH]"),
    };
    println!("Starting five services: A (Python), B (Java), C (Go), D (Node.js), E (nginx).");
    let services = Services::start();
    println!("Attaching spandrel to them as they run.");
    let options =
        Options { exports: vec!["console".to_owned()], binary: Some(binary), ..services.selection() };
    let agent = Agent::start(&options);
    println!("Sending one request to A: GET /order\n");
    services.order();
    let complete = poll(LONG, || (agent.spans().len() >= SPANS).then_some(()));
    let finished = agent.stop();
    if complete.is_none() {
        println!("{}", finished.log);
        println!(
            "The trace is not complete: {} of {SPANS} spans:\n{}",
            finished.spans.len(),
            render(&finished.spans)
        );
        return Ok(ExitCode::FAILURE);
    }
    println!("{}", tree_of(&finished.log));
    assert_tree(&finished.spans, TREE);
    println!("One trace of {SPANS} spans, every parent as it was: A > B, A > E, B > C, B > D.");
    Ok(ExitCode::SUCCESS)
}
