//! The operating system's randomness, seeded: whatever asks for it in this program (keys, nonces, the order of
//! hash maps, every generator that seeds itself) gets bytes that follow from the seed alone.
//!
//! The program defines the C library's `getrandom`; `std` and the crate `getrandom` call that one. The crate's
//! line 0.2 makes the system call itself: only `ring` uses that, and nothing here asks `ring` for randomness.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the generator (SplitMix64) is.
static STATE: AtomicU64 = AtomicU64::new(0);

/// Begins anew. Before anything is random, so first in `main`.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed.wrapping_mul(0xd134_2543_de82_ef95), Ordering::Relaxed);
}

fn next() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut word = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// In the place of the C library's.
///
/// # Safety
/// As there: `buffer` points to `length` bytes that may be written.
#[expect(unsafe_code, reason = "the one place where the program's randomness can be made its own")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: c_uint) -> isize {
    // Some ask for nothing, to see whether there is an answer, and point nowhere.
    if length > 0 {
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
        }
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
