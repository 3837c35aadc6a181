//! `cargo +nightly fuzz run agent`; see the library for what holds.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::agent(input));

/// Without a fuzzer the target reads one input from a file, to look into a crash.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        fuzz::agent(&std::fs::read(path)?);
    }
    Ok(())
}
