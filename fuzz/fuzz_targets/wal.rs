//! See `narthex::fuzzing::wal`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| narthex::fuzzing::wal(bytes));
