//! The program `spandrel`: loads probes, reads the ring, asks `/proc`, exports spans.

pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod doctor;
pub mod export;
mod held;
pub mod kernel;
pub mod privileges;
pub mod process;
pub mod recording;
pub mod replay;
pub mod runtime;
mod secret;
pub mod telemetry;
