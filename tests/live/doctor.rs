//! What Spandrel says of the machine and of itself.

use std::process::Command;

use acceptance::{TempDir, process::output, spandrel::binary};

#[test]
fn smoke_doctor_says_that_this_machine_can_be_traced() {
    let _machine = live!();
    let text = output("spandrel doctor", Command::new(binary()).arg("doctor"));
    assert!(!text.trim().is_empty());
    let json = output("spandrel doctor --json", Command::new(binary()).args(["doctor", "--json"]));
    let findings: serde_json::Value = serde_json::from_str(&json).expect("doctor --json prints JSON");
    assert!(findings.is_object() || findings.is_array(), "{findings:#}");
}

#[test]
fn the_printed_configuration_is_a_configuration() {
    let printed = output("spandrel config --print", Command::new(binary()).args(["config", "--print"]));
    let directory = TempDir::new();
    let file = directory.write("spandrel.yaml", &printed);
    let mut again = Command::new(binary());
    output("spandrel run", again.args(["run", "--config"]).arg(file).args(["--", "true"]));
}

#[test]
fn a_wrong_key_is_refused_with_its_line() {
    let directory = TempDir::new();
    let file = directory.write("wrong.yaml", "select: []\nselekt: []\n");
    let result =
        Command::new(binary()).args(["agent", "--config"]).arg(&file).output().expect("start spandrel");
    let message = String::from_utf8_lossy(&result.stderr);
    assert!(!result.status.success() && message.contains("selekt") && message.contains(":2"), "{message}");
}
