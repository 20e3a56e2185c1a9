//! See `narthex::fuzzing::index_sections`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::index_sections(bytes));
