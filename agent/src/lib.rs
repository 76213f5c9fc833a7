//! The program `spandrel`: loads probes, reads the ring, asks `/proc`, exports spans.

pub mod cli;
pub mod config;
pub mod doctor;
pub mod kernel;
pub mod privileges;
pub mod process;
pub mod telemetry;
pub mod clock;
pub mod export;
