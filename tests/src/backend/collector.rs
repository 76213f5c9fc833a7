//! The OpenTelemetry Collector: OTLP in, and by its file exporter OTLP/JSON out. It keeps all there is of a span.

use std::{fs, path::PathBuf, process::Command};

use super::{Backend, package};
use crate::{
    TempDir, free_ports,
    process::Process,
    span::{Span, from_json_lines},
    wait::LONG,
    workload_file,
};

/// A running Collector that exports to a file.
pub struct Collector {
    process: Process,
    /// Of its OTLP receiver.
    pub http: u16,
    pub grpc: u16,
    directory: TempDir,
}

impl Collector {
    pub fn start() -> Self {
        let directory = TempDir::new();
        let [http, grpc] = free_ports();
        let template = workload_file("backends/collector.yaml");
        let config = fs::read_to_string(&template)
            .unwrap_or_else(|e| panic!("read {}: {e}", template.display()))
            .replace("@http@", &http.to_string())
            .replace("@grpc@", &grpc.to_string())
            .replace("@file@", &output(&directory).to_string_lossy());
        let mut command = Command::new(package::collector());
        command.arg("--config").arg(directory.write("collector.yaml", &config)).env("GOMEMLIMIT", "256MiB");
        let mut process = Process::start("the Collector", &mut command);
        process.wait_for("Everything is ready", LONG);
        Self { process, http, grpc, directory }
    }

    /// The file that it exports to, as it is now.
    pub fn lines(&self) -> String {
        fs::read_to_string(output(&self.directory)).unwrap_or_default()
    }
}

fn output(directory: &TempDir) -> PathBuf {
    directory.path().join("spans.jsonl")
}

impl Backend for Collector {
    fn name(&self) -> &'static str {
        "the Collector"
    }

    fn spans(&self) -> Vec<Span> {
        from_json_lines(&self.lines())
    }

    fn shown(&self, span: &Span) -> Span {
        span.clone()
    }

    fn log(&self) -> String {
        self.process.log()
    }
}
