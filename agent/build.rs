//! Puts the BPF object that `cargo xtask build` made where the source can embed it.
//!
//! In: the file that SPANDREL_PROBES names, else `target/bpf/` of the source tree. Out: `probes.o`
//! in OUT_DIR. Without an object that file is empty, so that checks, lints and tests of
//! the library need no BPF toolchain; the program then refuses to start and names `cargo xtask build`.

use std::{env, fs, path::PathBuf};

const VARIABLE: &str = "SPANDREL_PROBES";
const BUILT: &str = "../target/bpf/bpfel-unknown-none/bpf/probes";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let variable = |name: &str| env::var_os(name).map(PathBuf::from);
    let (Some(out), Some(manifest)) = (variable("OUT_DIR"), variable("CARGO_MANIFEST_DIR")) else {
        println!("cargo::error=OUT_DIR or CARGO_MANIFEST_DIR is not set: this script is run by cargo");
        return;
    };
    let named = variable(VARIABLE);
    let object = named.clone().unwrap_or_else(|| manifest.join(BUILT));
    println!("cargo::rerun-if-changed={}", object.display());
    let bytes = match fs::read(&object) {
        Ok(bytes) => bytes,
        Err(error) if named.is_some() => {
            println!("cargo::error={VARIABLE} names {}, which cannot be read: {error}", object.display());
            return;
        }
        Err(_) => {
            if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
                println!("cargo::warning=no BPF object at {}: run `cargo xtask build`", object.display());
            }
            Vec::new()
        }
    };
    if let Err(error) = fs::write(out.join("probes.o"), bytes) {
        println!("cargo::error=cannot write probes.o to {}: {error}", out.display());
    }
}
