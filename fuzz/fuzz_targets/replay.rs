//! See `narthex::fuzzing::replay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::replay(bytes));
