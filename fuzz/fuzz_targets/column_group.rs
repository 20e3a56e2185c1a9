//! See `narthex::fuzzing::column_group`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::column_group(bytes));
