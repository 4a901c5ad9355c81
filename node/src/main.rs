//! murmeshd.
fn main() {}
