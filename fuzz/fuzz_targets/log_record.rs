//! See `narthex::fuzzing::log_record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::log_record(bytes));
