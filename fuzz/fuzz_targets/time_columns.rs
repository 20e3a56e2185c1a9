//! See `narthex::fuzzing::time_columns`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::time_columns(bytes));
