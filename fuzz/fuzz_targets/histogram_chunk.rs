//! See `narthex::fuzzing::histogram_chunk`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::histogram_chunk(bytes));
