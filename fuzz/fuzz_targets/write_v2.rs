//! See `narthex::fuzzing::write_v2`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::write_v2(bytes));
