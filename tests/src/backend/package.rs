//! The backends' programs: fetched once, in pinned versions with checksums, by the package managers of their languages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    process::Process,
    workload::{built, go_compiler},
    workload_file,
};

/// Jaeger's own module; its `go.sum`, which the checksum covers, pins all it is made of.
const JAEGER: &str = "github.com/jaegertracing/jaeger@v1.76.0";
const JAEGER_SUM: &str = "h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=";

const MAVEN_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
const ZIPKIN: &str = "io.zipkin:zipkin-server:3.6.1:jar:slim";
const ZIPKIN_JAR: &str = "zipkin-server-3.6.1-slim.jar";
const ZIPKIN_SHA256: &str = "981b1de6139b4f8f787a909c308028732f9713ae5284353d2a5aa404d1094775";

/// Two minutes on an idle machine with two processors, most of it for Jaeger.
const BUILD: Duration = Duration::from_secs(900);

/// Jaeger with all its parts in one process.
pub(super) fn jaeger() -> PathBuf {
    let directory = built(format!("{JAEGER} {JAEGER_SUM}").as_bytes(), |directory| {
        let mut download = Command::new(go_compiler());
        let answer =
            fetch("Jaeger", download.current_dir(directory).args(["mod", "download", "-json", JAEGER]));
        let module: Value =
            serde_json::from_str(&answer).unwrap_or_else(|e| panic!("go mod download: {e}\n{answer}"));
        assert!(module["Sum"] == JAEGER_SUM, "Jaeger is not what it was, {JAEGER_SUM}: {module:#}");
        // Built in its own module: so its own go.sum is followed.
        let source = Path::new(module["Dir"].as_str().expect("a directory"));
        build_go("Jaeger", source, "./cmd/all-in-one", &directory.join("jaeger"));
    });
    directory.join("jaeger")
}

/// The Collector with the components that the tests use.
pub(super) fn collector() -> PathBuf {
    let source = workload_file("backends");
    let pins: Vec<u8> = ["go.mod", "go.sum", "collector.go"]
        .into_iter()
        .flat_map(|name| fs::read(source.join(name)).unwrap_or_else(|e| panic!("read {name}: {e}")))
        .collect();
    let directory =
        built(&pins, |directory| build_go("the Collector", &source, ".", &directory.join("collector")));
    directory.join("collector")
}

/// Zipkin, one Java archive.
pub(super) fn zipkin() -> PathBuf {
    let directory = built(format!("{ZIPKIN} {ZIPKIN_SHA256}").as_bytes(), |directory| {
        let mut maven = Command::new("mvn");
        maven.current_dir(directory).args(["--batch-mode", "--quiet", MAVEN_PLUGIN]);
        fetch("Zipkin", maven.arg(format!("-Dartifact={ZIPKIN}")).arg("-DoutputDirectory=."));
        let sum = fetch("Zipkin", Command::new("sha256sum").current_dir(directory).arg(ZIPKIN_JAR));
        assert!(sum.starts_with(ZIPKIN_SHA256), "Zipkin is not what it was, {ZIPKIN_SHA256}: {sum}");
    });
    directory.join(ZIPKIN_JAR)
}

fn build_go(name: &str, source: &Path, package: &str, program: &Path) {
    let mut build = Command::new(go_compiler());
    build.current_dir(source).args(["build", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
    fetch(name, build.arg(program).arg(package));
}

/// Runs a step of a package manager; its output. Without the package there is no test, so this fails.
fn fetch(name: &str, command: &mut Command) -> String {
    let mut process = Process::start(name, command);
    process.close_stdin();
    let status = process.wait(BUILD);
    assert!(status.success(), "{name} could not be had: {command:?} ended with {status}\n{}", process.log());
    process.stdout()
}
