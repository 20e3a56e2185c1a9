//! See `narthex::fuzzing::checkpoint`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::checkpoint(bytes));
