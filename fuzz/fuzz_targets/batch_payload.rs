//! See `narthex::fuzzing::batch_payload`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::batch_payload(bytes));
