//! What the unit tests share.

/// A seeded generator.
pub(crate) fn rng(seed: u64) -> chacha20::ChaCha20Rng {
    rand::SeedableRng::seed_from_u64(seed)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal text; none of `-`.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_matches('-');
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Every proper prefix of `bytes`, and `bytes` with one byte too many, is refused by `accepts`.
pub(crate) fn refuses_other_lengths(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(bytes));
    for len in 0..bytes.len() {
        assert!(!accepts(&bytes[..len]), "accepted when cut to {len}");
    }
    assert!(!accepts(&[bytes, &[0]].concat()), "accepted a trailing byte");
}

/// Every single-bit flip of `bytes` is refused by `accepts`.
pub(crate) fn refuses_bit_flips(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(bytes));
    let mut flipped = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&flipped), "accepted with bit {bit} flipped");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}
