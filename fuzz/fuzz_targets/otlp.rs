//! See `narthex::fuzzing::otlp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::otlp(bytes));
