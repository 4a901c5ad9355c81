//! The decoder `inner` of `murmesh_protocol::decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| murmesh_fuzz::decode("inner", data));
