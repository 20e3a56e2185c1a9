//! See `narthex::fuzzing::lines`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::lines(bytes));
