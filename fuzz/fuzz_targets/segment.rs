//! See `narthex::fuzzing::segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::segment(bytes));
