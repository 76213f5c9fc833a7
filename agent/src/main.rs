//! Starts things; contains no logic.

fn main() {}
