//! See `narthex::fuzzing::xor_chunk`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::xor_chunk(bytes));
