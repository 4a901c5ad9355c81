//! A program for the machine of `protocol/tests/it/sequences/disk.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| murmesh_fuzz::disk(data));
