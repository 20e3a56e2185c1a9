//! See `narthex::fuzzing::matcher`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::matcher(bytes));
