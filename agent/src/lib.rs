//! The program `spandrel`: loads probes, reads the ring, asks `/proc`, exports spans.

pub mod kernel;
