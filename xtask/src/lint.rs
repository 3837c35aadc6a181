//! `cargo xtask lint`: formatting, clippy, dependencies and spelling.
//!
//! cargo-deny and typos are optional: they are no packages of Debian, and building cargo-deny takes
//! longer than every other part together. Where they are, they must pass.

use crate::chore::Lane;
use crate::chore::Need;
use crate::chore::Part;
use crate::chore::words;
use std::time::Duration;

/// The parts of the chore; `test` begins with them.
pub(crate) fn parts() -> Vec<Part> {
    vec![format(), clippy(), deny(), spelling()]
}

fn format() -> Part {
    Part {
        name: "format",
        about: "every file is as rustfmt writes it",
        limit: Duration::from_secs(60),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![vec!["cargo", "fmt", "--all", "--check"]],
    }
}

fn clippy() -> Part {
    let command = "cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings";
    Part {
        name: "clippy",
        about: "no warning of rustc or clippy",
        limit: Duration::from_secs(400),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![words(command)],
    }
}

fn deny() -> Part {
    let command = "cargo deny check bans licenses sources";
    Part {
        name: "deny",
        about: "licenses, sources and bans of dependencies, as deny.toml says",
        limit: Duration::from_secs(120),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Program("cargo-deny")],
        steps: vec![words(command)],
    }
}

fn spelling() -> Part {
    Part {
        name: "spelling",
        about: "no misspelled word, as typos.toml says",
        limit: Duration::from_secs(60),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Program("typos")],
        steps: vec![vec!["typos"]],
    }
}
