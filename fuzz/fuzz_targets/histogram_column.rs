//! See `narthex::fuzzing::histogram_column`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::histogram_column(bytes));
