//! See `narthex::fuzzing::read_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::read_request(bytes));
