//! `cargo xtask test`: every check of the project, in one table.
//!
//! First what builds, then what runs what was built; parts that wait for an emulated processor run
//! aside, from when what they run is there. What is tested is the development build, in which an
//! overflow is a panic; `--only release` is the same with the release build. A new check is one more
//! entry here, or in `by_name`.

mod by_name;

use crate::chore::Lane;
use crate::chore::Need;
use crate::chore::Part;
use crate::chore::words;
use crate::lint;
use std::time::Duration;

/// The parts of the chore.
pub(crate) fn parts() -> Vec<Part> {
    let own = [
        machine(),
        kernel_matrix(),
        workspace(),
        program(),
        kernel_source(),
        mcu(),
        stubdomain(),
        vectors(),
        documents(),
        fuzz(),
        bare_metal(),
        aarch64(),
        tutorial(),
        corpus(),
        attacks(),
        races(),
        upgrade(),
    ];
    // First what the rest is built with.
    std::iter::once(packages()).chain(lint::parts()).chain(own).chain(by_name::parts()).collect()
}

/// The command with $QUIXOTE as the part `program` built it.
fn with_tested_program(line: &'static str) -> Vec<&'static str> {
    [vec!["env", "QUIXOTE=target/debug/quixote"], words(line)].concat()
}

fn stubdomain() -> Part {
    // First where there is a network to fetch crates from.
    let build = "agents/build.sh stubdomain";
    let suite = "conformance/apart.sh python3 conformance/run_bare_agents.py stubdomain";
    let attacks = "conformance/apart.sh \
        python3 conformance/run_attacks.py --ci --learn-runs 1 \
        --tma vm:target/agents/x86_64-unknown-none/release/stubdomain \
        --only read_shadow --only flipped_byte_in_binary --only write_then_exec --only kill_outside";
    Part {
        name: "stubdomain",
        about: "the agent alone in a virtual machine passes the suite, stops attacks, fails closed",
        limit: Duration::from_secs(500),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::Program("qemu-system-x86_64"), Need::Program("ld.lld-19")],
        steps: [build, suite, attacks].map(with_tested_program).into(),
    }
}

fn mcu() -> Part {
    let build = "agents/build.sh mcu lm3s6965evb";
    let command = "conformance/apart.sh \
                   python3 conformance/run_bare_agents.py mcu --attack read_private_file \
                   --no-suite mps2-an385 \
                   --build-also nrf52840dk";
    Part {
        name: "mcu",
        about: "the agent on emulated microcontrollers passes its suite, decides within its memory, stops an attack",
        limit: Duration::from_secs(900),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::Program("qemu-system-arm"), Need::Program("ld.lld-19")],
        steps: [build, command].map(with_tested_program).into(),
    }
}

fn packages() -> Part {
    Part {
        name: "setup",
        about: "what the checks need is installed",
        limit: Duration::from_secs(230),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![vec!["cargo", "xtask", "setup"]],
    }
}

fn workspace() -> Part {
    let command = "cargo test --workspace --all-features --no-fail-fast";
    Part {
        name: "workspace",
        about: "unit, integration, property and documentation tests; fuzz corpora as plain tests",
        limit: Duration::from_secs(800),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![words(command)],
    }
}

fn vectors() -> Part {
    Part {
        name: "vectors",
        about: "a second computation of every conformance vector agrees",
        limit: Duration::from_secs(25),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::Program("python3"), Need::File("conformance/vectors/make_vectors.py")],
        steps: vec![vec!["python3", "conformance/vectors/make_vectors.py", "--check"]],
    }
}

fn bare_metal() -> Part {
    Part {
        name: "bare-metal",
        about: "core builds where there is no operating system",
        limit: Duration::from_secs(260),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::File("conformance/bare_metal.sh")],
        steps: vec![vec!["bash", "conformance/bare_metal.sh"]],
    }
}

fn aarch64() -> Part {
    Part {
        name: "aarch64",
        about: "core and the portable source type-check for aarch64",
        limit: Duration::from_secs(150),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::Program("apt-get")],
        steps: vec![vec!["bash", "conformance/aarch64_check.sh"]],
    }
}

fn documents() -> Part {
    Part {
        name: "documents",
        about: "generated documents are up to date, links and named tests exist",
        limit: Duration::from_secs(180),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![vec!["cargo", "xtask", "docs", "--check"]],
    }
}

fn program() -> Part {
    // Just as the workspace's tests build it: nothing is built twice.
    let build = "cargo test --workspace --all-features --no-run --quiet";
    Part {
        name: "program",
        about: "the binaries that tutorial, corpus and attacks run",
        limit: Duration::from_secs(400),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![words(build)],
    }
}

const TUTORIAL: &str = "cargo xtask tutorial docs/book/src/tutorial.md";
const CORPUS: &str = "python3 conformance/run_corpus.py --ci";
const ATTACKS: &str = "python3 conformance/run_attacks.py";
const RACES: &str = "python3 conformance/run_races.py";

fn tutorial() -> Part {
    Part {
        name: "tutorial",
        about: "the ten-minute tutorial, run as it is written",
        limit: Duration::from_secs(60),
        required: true,
        lane: Lane::Main,
        needs: vec![],
        steps: vec![with_tested_program(TUTORIAL)],
    }
}

fn corpus() -> Part {
    Part {
        name: "corpus",
        about: "real services: same state every run, no forensics, enforced without a denial",
        limit: Duration::from_secs(800),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::File("conformance/run_corpus.py")],
        steps: vec![with_tested_program(CORPUS)],
    }
}

fn attacks() -> Part {
    Part {
        name: "attacks",
        about: "every attack on an enforced service is stopped and named",
        limit: Duration::from_secs(320),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::File("conformance/run_attacks.py")],
        steps: vec![with_tested_program(ATTACKS)],
    }
}

fn races() -> Part {
    Part {
        name: "races",
        about: "attackers that rewrite, swap and reuse what is being judged win nothing",
        limit: Duration::from_secs(320),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::File("conformance/run_races.py")],
        steps: vec![with_tested_program(RACES)],
    }
}

fn machine() -> Part {
    let command = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/vm_check.sh";
    Part {
        name: "vm",
        about: "both of Debian's kernels boot with this checkout inside, with the BPF LSM active",
        limit: Duration::from_secs(200),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::File("conformance/vm_check.sh")],
        steps: vec![words(command)],
    }
}

fn kernel_matrix() -> Part {
    let build = "sh conformance/kernel_matrix/build.sh target/xtask/kernel_matrix";
    // With two emulated processors the guest may die while the kernel patches itself for a kprobe.
    let run = "cargo xtask vm --cpus 1 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
               conformance/run_kernel_matrix.py hooks target/xtask/kernel_matrix/triggers";
    Part {
        name: "kernel-matrix",
        about: "a trigger for every event reaches its hook on both kernels, by the kernel's own count",
        limit: Duration::from_secs(500),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::File("conformance/run_kernel_matrix.py")],
        steps: vec![words(build), words(run)],
    }
}

fn kernel_source() -> Part {
    let everywhere = "cargo xtask vm --timeout 900 --kernel 6.1 -- sh conformance/kernel_together.sh \
                      target/debug/quixote kernel_source kernel_border";
    let with_models = "cargo xtask vm --timeout 1500 --kernel 6.12 -- sh conformance/kernel_together.sh \
                       target/debug/quixote kernel_source kernel_border \
                       kernel_container kernel_rules kernel_replace kernel_names kernel_answers kernel_agent kernel_opened";
    let inactive = "cargo xtask vm --timeout 300 --kernel 6.1 --append lsm=landlock,lockdown,yama,apparmor -- \
                    sh conformance/kernel_refused.sh target/debug/quixote";
    let locked = "cargo xtask vm --timeout 300 --kernel 6.12 --append lockdown=confidentiality -- \
                  sh conformance/kernel_refused.sh target/debug/quixote";
    let full = "cargo xtask vm --timeout 300 --kernel 6.12 -- sh conformance/kernel_refused.sh target/debug/quixote";
    let preempted = "cargo xtask vm --timeout 300 --kernel 6.1 --append preempt=full -- sh conformance/kernel_refused.sh \
                     target/debug/quixote";
    let build = "sh conformance/kernel_matrix/build.sh target/xtask/kernel_matrix";
    // One processor for the same reason as in kernel-matrix.
    let losses = "cargo xtask vm --cpus 1 --timeout 600 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_lives.py \
                  target/xtask/kernel_matrix/storm --quixote target/debug/quixote --only losses --only overflow";
    let refused = |command, why| [words(command), vec![why]].concat();
    let steps = vec![
        words(everywhere),
        words(with_models),
        words(build),
        words(losses),
        refused(inactive, "bpf is not in the LSM list"),
        refused(locked, "confidentiality: BPF may not read the kernel"),
        refused(preempted, "preempted everywhere"),
        refused(full, "attaching to bpf_lsm_file_open .*as many programs as it can hold"),
    ];
    Part {
        name: "kernel-source",
        about: "a workload has the same coefficients under both sources, also where one was a container's, is \
                enforced in the kernel, and cannot reach its orchestrator or the programs; what the model knows goes on without the \
                orchestrator, names that only a rule allows are made, a model is replaced while its \
                workload runs, a name that no event holds is taken for no other, \
                an answer that nobody took for none, and a file that gets another name for another; what is lost under load is \
                counted to the last event; where the kernel has no \
                such programs, or others hold a hook of theirs, why and the mend are told",
        limit: Duration::from_secs(1800),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::File("conformance/kernel_together.sh")],
        steps,
    }
}

fn upgrade() -> Part {
    Part {
        name: "upgrade",
        about: "a model lives through signed upgrades, a test's own and Debian's, and through nothing else",
        limit: Duration::from_secs(200),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::Root, Need::Program("gpg"), Need::File("conformance/run_upgrade.py")],
        steps: vec![
            with_tested_program("python3 conformance/run_upgrade.py"),
            with_tested_program("python3 conformance/run_real_upgrade.py"),
        ],
    }
}

fn fuzz() -> Part {
    let command = "cargo test --manifest-path fuzz/Cargo.toml";
    Part {
        name: "fuzz",
        about: "every parser over its fuzz corpus and damaged copies of it, as plain tests",
        limit: Duration::from_secs(220),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::File("fuzz/Cargo.toml")],
        steps: vec![words(command)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = parts().iter().map(|part| part.name).collect();
        assert_eq!(names.len(), parts().len());
    }

    #[test]
    fn all_together_fit_into_ci() {
        // CI ends a run after 90 minutes; every part at its limit must still leave a table. What has to be asked for
        // by name is no part of it.
        let asked = |part: &Part| part.needs.iter().any(|need| matches!(need, Need::Asked(_)));
        let parts: Vec<Part> = parts().into_iter().filter(|part| !asked(part)).collect();
        let sum = |lane, parts: &[Part]| -> Duration {
            parts.iter().filter(|part| part.lane == lane).map(|part| part.limit).sum()
        };
        // Both lanes are at work from the first part aside on.
        let both = parts.iter().position(|part| part.lane == Lane::Aside).unwrap();
        let (first, rest) = parts.split_at(both);
        let all = sum(Lane::Main, first) + sum(Lane::Main, rest).max(sum(Lane::Aside, rest));
        assert!(all < Duration::from_secs(5400), "{all:?}");
    }
}
