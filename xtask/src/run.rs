//! The commands that build and then hand over: to the demo, the benchmarks, the recorder.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    build::{self, Profile},
    exec, packages, test,
};

/// Shows the demo.
pub(crate) fn demo() -> Result<()> {
    packages::ensure(packages::DEMO, "the languages and servers of the demo")?;
    let program = build::all(Profile::TESTED)?;
    hand_over("demo", &program)
}

/// Measures the costs.
pub(crate) fn bench() -> Result<()> {
    packages::ensure(packages::DEMO, "the servers of the benchmarks")?;
    packages::ensure(packages::TESTS, "the load generators of the benchmarks")?;
    let program = build::all(Profile::TESTED)?;
    hand_over("bench", &program)
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

fn hand_over(name: &str, program: &Path) -> Result<()> {
    if !test::has_target("bin", name)? {
        bail!("the package {} has no program `{name}`", test::ACCEPTANCE);
    }
    let mut cargo = test::acceptance("run", ["--bin", name])?;
    exec::run(cargo.args(["--", "--spandrel"]).arg(program))
}
