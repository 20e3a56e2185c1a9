//! See `narthex::fuzzing::series_description`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::series_description(bytes));
