//! A long request over HTTP/2: what tracing costs in time.

use std::{fs::File, process::Command};

use super::{Plan, Tracing, subject::h2load};
use crate::{TempDir, workload::http2::nghttpd};

/// The length of the body.
pub(super) const BYTES: u64 = 100_000_000;
const ANSWER: &str = "ok";
/// Uploads that count, behind one that warms up.
const UPLOADS: usize = 8;

/// Milliseconds of uploads by h2load to nghttpd, one after the other. Both ends are traced.
pub(super) fn uploads(plan: &Plan, traced: bool) -> Vec<f64> {
    let directory = TempDir::new();
    directory.write("file", ANSWER);
    let body = directory.path().join("body");
    File::create(&body).and_then(|file| file.set_len(BYTES)).expect("make a body");
    let (server, port) = nghttpd(&directory);
    let _tracing = traced.then(|| Tracing::start(plan, &server));
    let upload = || {
        let mut command = Command::new("h2load");
        command.args(["-n", "1", "-c", "1", "-m", "1", "-d"]).arg(&body);
        command.arg(format!("http://127.0.0.1:{port}/file"));
        1e3 / h2load(command, 1, ANSWER.len()).rate
    };
    upload();
    (0..UPLOADS).map(|_| upload()).collect()
}
