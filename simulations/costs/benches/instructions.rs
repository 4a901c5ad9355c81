//! Instructions of sealing, opening and admitting, under valgrind: `simulations/scripts/instructions.sh`.

use std::hint::black_box;

use gungraun::prelude::*;
use murmesh_costs::{Admitting, Both, CONTENT_BYTES};

fn sealed() -> (Both, Vec<u8>) {
    let mut both = Both::new();
    let inner = both.seal(&[7; CONTENT_BYTES]);
    (both, inner)
}

#[library_benchmark]
#[bench::one_kib(Both::new())]
fn seal(mut both: Both) -> (Both, Vec<u8>) {
    let inner = black_box(both.seal(black_box(&[7; CONTENT_BYTES])));
    (both, inner)
}

#[library_benchmark]
#[bench::one_kib(sealed())]
fn open((mut both, inner): (Both, Vec<u8>)) -> (Both, Vec<u8>) {
    let content = black_box(both.open(black_box(&inner)));
    (both, content)
}

#[library_benchmark]
#[bench::one_kib(Admitting::new())]
fn admit(admitting: Admitting) -> Admitting {
    black_box(admitting.admit())
}

library_benchmark_group!(name = costs, benchmarks = [seal, open, admit]);
main!(library_benchmark_groups = costs);
