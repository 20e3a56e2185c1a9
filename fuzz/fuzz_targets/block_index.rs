//! See `narthex::fuzzing::block_index`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::block_index(bytes));
