//! Tests of the library through its public face, in one binary.

mod basics;
