//! `cargo xtask verifier`: what the kernel's verifier had to do for each program, against what is on record.
//!
//! The numbers come from `spandrel doctor --json`, as `{"kernel": "6.18.44", "programs": {"name": instructions}}`;
//! the record is `ebpf/verifier-budget.toml`, a section for each kernel series.

mod budget;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use self::budget::{Budget, Measured};
use crate::{exec, vm};

/// Measures on the running kernel, or on these, and compares; with `bless` puts the numbers on record instead.
pub(crate) fn run(program: &Path, kernels: &[vm::Series], bless: bool) -> Result<()> {
    let file = exec::root().join("ebpf/verifier-budget.toml");
    let text = if file.exists() { fs::read_to_string(&file) } else { Ok(String::new()) };
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let mut budget = Budget::parse(&text).with_context(|| format!("in {}", file.display()))?;
    let mut outputs = Vec::new();
    if kernels.is_empty() {
        // Its status says whether tracing will work; the programs that do load are measured either way.
        let mut doctor = exec::command(program);
        let output = doctor.args(["doctor", "--json"]).output();
        let output = output.with_context(|| format!("cannot start: {}", exec::describe(&doctor)))?;
        outputs.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    for &series in kernels {
        outputs.push(vm::output(series, &[&program.display().to_string(), "doctor", "--json"])?);
    }
    let mut problems = Vec::new();
    for output in outputs {
        let measured = Measured::parse(&output)?;
        println!("kernel {}:", measured.kernel);
        for (name, instructions) in &measured.programs {
            println!("  {instructions:>8}  {name}");
        }
        if bless {
            budget.record(&measured);
        } else if !budget.knows(&measured) {
            println!("  no budget for this kernel yet: cargo xtask verifier --bless");
        } else {
            problems.extend(budget.compare(&measured));
        }
    }
    if bless {
        return fs::write(&file, budget.to_string())
            .with_context(|| format!("cannot write {}", file.display()));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nif that is meant: cargo xtask verifier --bless, and say why in the commit",
        problems.join("\n")
    )
}
