//! A program for the machine of `protocol/tests/it/sequences/messenger.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| murmesh_fuzz::messenger(data));
