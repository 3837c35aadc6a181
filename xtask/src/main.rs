//! `cargo xtask`: the one door for project chores.
//!
//! Each chore is a module; this file only names them. What a chore needs is in the repository's
//! own files, so that the same command gives the same result on a fresh machine and in CI.

mod bench;
mod chore;
mod demo;
mod docs;
mod lint;
mod process;
mod repository;
mod setup;
mod test;
mod tutorial;
mod vm;

use anyhow::Result;
use clap::Parser;
use clap::Subcommand;
use repository::Repository;
use std::process::ExitCode;

/// Project chores of Quixote.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what tests, demo and benches need (as root; otherwise say what is missing)
    Setup,
    /// Learn, sign and enforce a real nginx, then attack it and see the attack stopped
    Demo,
    /// Run every check there is, and print a table of what passed, failed and was skipped
    Test(chore::Selection),
    /// Formatting, clippy, dependencies and spelling only
    Lint(chore::Selection),
    /// Write the generated documents again
    Docs {
        /// Write nothing; fail when a generated document is out of date
        #[arg(long)]
        check: bool,
    },
    /// Measure the cost
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Boot a stock Debian kernel with this checkout inside and run a command in it as root
    Vm(vm::Options),
    /// Run the commands of a chapter of the book as a reader would
    #[command(hide = true)]
    Tutorial {
        /// The chapter
        chapter: std::path::PathBuf,
    },
}

fn main() -> ExitCode {
    process::end_children_on_interrupt();
    match perform(Arguments::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(chore: Chore) -> Result<ExitCode> {
    let repository = Repository::locate()?;
    match chore {
        Chore::Setup => setup::ensure(&repository).map(|()| ExitCode::SUCCESS),
        Chore::Demo => demo::run(&repository).map(|()| ExitCode::SUCCESS),
        Chore::Test(selection) => chore::run_all(&repository, &test::parts(), &selection),
        Chore::Lint(selection) => chore::run_all(&repository, &lint::parts(), &selection),
        Chore::Docs { check } => docs::run(&repository, check).map(|()| ExitCode::SUCCESS),
        Chore::Bench { what } => bench::run(&repository, &what).map(|()| ExitCode::SUCCESS),
        Chore::Vm(options) => vm::run(&repository, &options),
        Chore::Tutorial { chapter } => {
            tutorial::run(&repository, &chapter).map(|()| ExitCode::SUCCESS)
        }
    }
}
