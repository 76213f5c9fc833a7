//! The commands that build and then hand over: to the demo, the benchmarks, the recorder.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{
    build::{self, Profile},
    exec, packages, test,
};

/// Shows the demo.
pub(crate) fn demo() -> Result<()> {
    packages::need_root("the demo loads BPF programs")?;
    packages::ensure(packages::DEMO, "the languages and servers of the demo")?;
    hand_over("demo")
}

/// Measures the costs.
pub(crate) fn bench() -> Result<()> {
    packages::need_root("the benchmarks load BPF programs")?;
    packages::ensure(packages::DEMO, "the servers of the benchmarks")?;
    packages::ensure(packages::TESTS, "the load generators of the benchmarks")?;
    hand_over("bench")
}

/// Records a command's traffic as a test case.
pub(crate) fn capture(name: &str, command: &[String]) -> Result<()> {
    let unsafe_part = |part: &str| part.is_empty() || part.starts_with('.');
    if name.split('/').any(unsafe_part) {
        bail!("`{name}` is no name for a capture: words separated by `/`, such as http1/pipelined");
    }
    let program = build::all(Profile::TESTED)?;
    let file = exec::root().join("tests/captures").join(format!("{name}.records"));
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    exec::run(exec::command(program).arg("record").arg(&file).arg("--").args(command))
}

fn hand_over(name: &str) -> Result<()> {
    if !test::has_target("bin", name)? {
        bail!("the package {} has no program `{name}`", test::ACCEPTANCE);
    }
    let program = build::all(Profile::TESTED)?;
    let mut cargo = test::acceptance("run", ["--bin", name])?;
    exec::run(cargo.args(["--", "--spandrel"]).arg(program))
}
