//! See `narthex::fuzzing::query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::query(bytes));
