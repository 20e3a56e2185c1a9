//! See `narthex::fuzzing::sketch`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::sketch(bytes));
