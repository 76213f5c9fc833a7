//! Live tests: real probes, real clients and servers, spans read back. Run as root, by `cargo xtask test`.
//!
//! `smoke_*` need python3 and curl only, and run in small guests too.

mod harness;
