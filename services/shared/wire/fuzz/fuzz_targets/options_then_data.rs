#![no_main]
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::bodies::options_then_data(data));
