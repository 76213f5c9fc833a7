//! The numbers on record, and the comparison.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};

/// Compilers differ a little in what they make of the same source: so much more is no change worth a failure.
const TOLERANCE_PERCENT: u64 = 10;

type Programs = BTreeMap<String, u64>;

/// What one kernel's verifier processed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// As `uname -r` prints it.
    pub(crate) kernel: String,
    /// Instructions processed, by program.
    pub(crate) programs: Programs,
}

impl Measured {
    /// Reads what `spandrel doctor --json` printed; it may say more than is of interest here.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let start = json.find('{').unwrap_or_default(); // a guest's warnings may stand before it
        let text = json.get(start..).unwrap_or_default();
        let value: serde_json::Value =
            serde_json::from_str(text).with_context(|| format!("doctor --json printed no JSON: {json}"))?;
        let kernel = value.get("kernel").and_then(|kernel| kernel.as_str());
        let programs = value.get("programs").and_then(|programs| programs.as_object());
        let programs = programs.context("doctor --json has no object `programs`")?;
        let number = |(name, count): (&String, &serde_json::Value)| {
            let count = count
                .as_u64()
                .with_context(|| format!("the program {name} has no number of instructions"))?;
            Ok((name.clone(), count))
        };
        Ok(Self {
            kernel: kernel.context("doctor --json has no text `kernel`")?.to_owned(),
            programs: programs.iter().map(number).collect::<Result<_>>()?,
        })
    }

    /// Kernels of one series verify alike: `6.1` of `6.1.0-50-amd64`.
    fn series(&self) -> String {
        self.kernel.split(['.', '-']).take(2).collect::<Vec<_>>().join(".")
    }
}

/// The content of `ebpf/verifier-budget.toml`: sections `["6.1"]` of lines `name = number`, and no other TOML.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    kernels: BTreeMap<String, Programs>,
}

impl Budget {
    /// Reads the file's text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut budget = Self::default();
        let mut section: Option<&mut Programs> = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(kernel) = line.strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]")) {
                section = Some(budget.kernels.entry(kernel.to_owned()).or_default());
                continue;
            }
            let entry = line
                .split_once('=')
                .and_then(|(name, count)| Some((name.trim(), count.trim().parse().ok()?)));
            let (name, count) =
                entry.with_context(|| format!("neither `[\"KERNEL\"]` nor `name = number`: {line}"))?;
            section
                .as_mut()
                .with_context(|| format!("before the first kernel: {line}"))?
                .insert(name.to_owned(), count);
        }
        Ok(budget)
    }

    /// Replaces what is known of the measured kernel's series.
    pub(crate) fn record(&mut self, measured: &Measured) {
        self.kernels.insert(measured.series(), measured.programs.clone());
    }

    /// Whether there is a budget for the measured kernel's series.
    pub(crate) fn knows(&self, measured: &Measured) -> bool {
        self.kernels.contains_key(&measured.series())
    }

    /// What is over the budget or not in it; nothing for a kernel that has none.
    pub(crate) fn compare(&self, measured: &Measured) -> Vec<String> {
        let Some(allowed) = self.kernels.get(&measured.series()) else { return Vec::new() };
        let mut problems = Vec::new();
        for (name, &count) in &measured.programs {
            match allowed.get(name) {
                None => {
                    problems.push(format!("{}: {name} has no budget ({count} instructions)", measured.kernel))
                }
                Some(&known) if count > known.saturating_mul(100 + TOLERANCE_PERCENT) / 100 => {
                    problems.push(format!(
                        "{}: {name} takes {count} instructions, {known} are on record",
                        measured.kernel
                    ));
                }
                Some(_) => {}
            }
        }
        for name in allowed.keys().filter(|&name| !measured.programs.contains_key(name)) {
            problems.push(format!("{}: {name} has a budget and did not load", measured.kernel));
        }
        problems
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Instructions that the verifier processed for each program, by kernel series.")?;
        writeln!(
            f,
            "# Written by `cargo xtask verifier --bless`, checked by `cargo xtask verifier` (10 % more is let pass)."
        )?;
        for (kernel, programs) in &self.kernels {
            writeln!(f, "\n[\"{kernel}\"]")?;
            for (name, count) in programs {
                writeln!(f, "{name} = {count}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(json: &str) -> Measured {
        Measured::parse(json).unwrap()
    }

    #[test]
    fn what_is_recorded_reads_back() {
        let mut budget = Budget::default();
        budget
            .record(&measured(r#"{"kernel": "6.1.0-50-amd64", "programs": {"b": 7, "a": 100}, "more": []}"#));
        budget.record(&measured(r#"{"kernel": "6.18.44", "programs": {"a": 90}}"#));
        assert_eq!(Budget::parse(&budget.to_string()).unwrap(), budget);
    }

    #[test]
    fn a_program_over_its_budget_or_without_one_or_gone_is_a_problem() {
        let budget = Budget::parse("[\"6.18\"]\na = 100\nb = 10\n").unwrap();
        let problems = budget.compare(&measured(r#"{"kernel": "6.18.44", "programs": {"a": 111, "c": 5}}"#));
        assert_eq!(
            problems,
            [
                "6.18.44: a takes 111 instructions, 100 are on record",
                "6.18.44: c has no budget (5 instructions)",
                "6.18.44: b has a budget and did not load",
            ]
        );
        assert!(
            budget.compare(&measured(r#"{"kernel": "6.18.1", "programs": {"a": 110, "b": 9}}"#)).is_empty()
        );
    }

    #[test]
    fn a_kernel_without_a_budget_is_not_judged() {
        let budget = Budget::parse("[\"6.18\"]\na = 1\n").unwrap();
        let other = measured(r#"{"kernel": "6.1.0", "programs": {"a": 1000}}"#);
        assert!(!budget.knows(&other));
        assert!(budget.compare(&other).is_empty());
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let error = Budget::parse("[\"6.18\"]\na: 1\n").unwrap_err().to_string();
        assert!(error.ends_with("a: 1"), "{error}");
    }
}
