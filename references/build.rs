//! Builds the isolated parser as a static program of its own, for `include_bytes!`.
//!
//! It is part of the library, so that nobody has to find it, and nobody can exchange it: what runs is what was
//! compiled in, from a sealed memfd. It is built by itself because it is linked otherwise: statically,
//! position-independent, ending at the first panic.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Of the surrounding build, and wrong for this one.
const NOT_INHERITED: &[&str] = &[
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "TARGET",
    "HOST",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
];

const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "thin"),
    ("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=pie"),
];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for part in ["parser/src", "parser/Cargo.toml", "formats/src", "formats/Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", here.join(part).display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let built = build(&here, &build_folder(&out));
    println!("cargo:rustc-env=REFERENCE_PARSER={}", built.display());
}

/// One folder for debug and release builds of the library: the parser is always built for release.
fn build_folder(out: &Path) -> PathBuf {
    out.ancestors().nth(4).unwrap_or(out).join("reference-parser")
}

fn build(here: &Path, folder: &Path) -> PathBuf {
    let target = env::var("TARGET").expect("cargo sets it");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo.args(["build", "--release", "--quiet", "--package", "reference-parser"]);
    cargo.args(["--bin", "reference-parser", "--target", &target]);
    cargo.arg("--manifest-path").arg(here.join("parser/Cargo.toml"));
    cargo.arg("--target-dir").arg(folder);
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    cargo.envs(PROFILE.iter().copied());
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the isolated parser could not be built");
    folder.join(target).join("release/reference-parser")
}
