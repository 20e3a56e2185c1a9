//! See `narthex::fuzzing::series_state`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::series_state(bytes));
