//! Compiles the BPF programs and their skeleton into `OUT_DIR`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use libbpf_cargo::SkeletonBuilder;

/// Each a set of programs that is loaded together, and the skeleton of its name.
const SETS: [&str; 4] = ["main", "full", "lockdown", "check"];

/// Newest first; 14 and older leave code that the verifier of Linux 6.1 refuses.
const COMPILERS: [&str; 4] = ["clang-19", "clang-20", "clang-18", "clang"];

/// Those of them that namespaces run under: what names them is a digest of these.
const NAMED_BY: [&str; 2] = ["main", "full"];

/// A word that makes other programs of the same source.
const SALT: &str = "QUIXOTE_PROGRAMS_SALT";

fn main() {
    println!("cargo:rerun-if-changed=src/bpf");
    println!("cargo:rerun-if-env-changed={SALT}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let compiler = COMPILERS.into_iter().find(|name| works(name)).unwrap_or_else(|| {
        panic!(
            "the kernel source's BPF programs need clang 18 or newer: \
             run `cargo xtask setup`, or `apt-get install clang-19 libelf-dev zlib1g-dev`"
        )
    });
    fs::write(out.join("event_digests.h"), event_digests()).expect("OUT_DIR can be written");
    for set in SETS {
        build(set, compiler, &out);
    }
    println!("cargo:rustc-env=QUIXOTE_PROGRAMS={}", digest(&out));
}

fn object(set: &str, out: &Path) -> PathBuf {
    out.join(format!("{set}.bpf.o"))
}

/// The first digits of SHA-256 over the objects, each after its length.
fn digest(out: &Path) -> String {
    let mut all = Vec::new();
    for set in NAMED_BY {
        let octets = fs::read(object(set, out)).expect("the object was just made");
        all.extend((octets.len() as u64).to_le_bytes());
        all.extend(octets);
    }
    tsem::Digest::of(&[&all]).to_hex()[..16].into()
}

fn salt() -> Option<String> {
    let salt = env::var(SALT).ok()?;
    let plain = salt.bytes().all(|octet| octet.is_ascii_alphanumeric());
    assert!(plain, "{SALT} holds more than letters and digits");
    Some(format!("-D{SALT}=\"{salt}\""))
}

fn build(set: &str, compiler: &str, out: &Path) {
    let source = format!("src/bpf/{set}.bpf.c");
    let include = format!("-I{}", out.display());
    let mut arguments = vec![
        "-mcpu=v3",
        // As the kernel: octets are read as words here and there.
        "-fno-strict-aliasing",
        "-Wall",
        "-Werror",
        "-Wno-gnu-variable-sized-type-not-at-end",
        // It uses a part of what the others share.
        if set == "check" { "-Wno-unused-function" } else { "-Wunused-function" },
        &include,
    ];
    let salt = salt();
    arguments.extend(salt.as_deref());
    SkeletonBuilder::new()
        .source(&source)
        .obj(object(set, out))
        .clang(compiler)
        .clang_args(arguments)
        .build_and_generate(out.join(format!("{set}.skel.rs")))
        .unwrap_or_else(|error| panic!("{source} cannot be compiled: {error:#}"));
}

fn works(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// SHA-256 of every event's name, by code: what opens a coefficient.
fn event_digests() -> String {
    let mut text = String::from("static const __u8 event_digest[EVENTS][32] = {\n");
    for kind in tsem::EventKind::ALL {
        let octets: Vec<_> = tsem::event_digest(*kind).0.iter().map(u8::to_string).collect();
        let _ = writeln!(text, "\t[{}] = {{ {} }},", kind.code(), octets.join(", "));
    }
    text + "};\n"
}
