//! `cargo xtask test`: every check of the project, in one table.
//!
//! First what builds, then what runs what was built; parts that wait for an emulated processor run
//! aside, from when what they run is there. What is tested is the development build, in which an
//! overflow is a panic; `--only release` is the same with the release build. A new check is one more
//! entry here.

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
        release(),
        ima(),
        mutations(),
        localities(),
        vsock(),
        kernel_models(),
        kernel_decisions(),
        kernel_files(),
        kernel_check(),
        kernel_cost(),
        kernel_direct(),
        kernel_corpus(),
        kernel_attacks(),
        kernel_lockdown(),
        kernel_upgrade(),
    ];
    // First what the rest is built with.
    std::iter::once(packages()).chain(lint::parts()).chain(own).collect()
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
        limit: Duration::from_secs(700),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::Program("qemu-system-arm"), Need::Program("ld.lld-19")],
        steps: [build, command].map(with_tested_program).into(),
    }
}

fn localities() -> Part {
    let steps = [
        "cargo build --release --package quixote --package process-agent",
        "agents/build.sh stubdomain",
        "python3 conformance/run_corpus.py --ci --only nginx --tma process",
        "python3 conformance/run_attacks.py --ci --tma process",
        "python3 conformance/run_corpus.py --ci --only nginx \
         --tma vm:target/agents/x86_64-unknown-none/release/stubdomain",
        "python3 conformance/run_attacks.py --ci \
         --tma vm:target/agents/x86_64-unknown-none/release/stubdomain",
        "python3 conformance/run_bare_agents.py localities",
        "python3 conformance/run_upgrade.py --tma process",
        "python3 conformance/run_upgrade.py --tma vm:target/agents/x86_64-unknown-none/release/stubdomain",
    ];
    Part {
        name: "localities",
        about: "nginx and every attack, with the agent as a process, in a virtual machine, on an emulated board",
        limit: Duration::from_secs(4 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![
            Need::Asked("it takes an hour"),
            Need::Root,
            Need::Program("qemu-system-x86_64"),
            Need::Program("qemu-system-arm"),
            Need::Program("ld.lld-19"),
        ],
        steps: steps.map(words).into(),
    }
}

fn vsock() -> Part {
    let build = "cargo build --release --package quixote --package process-agent --package agent-conformance";
    let run = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/vsock.sh";
    Part {
        name: "vsock",
        about: "the agent behind a vsock port passes its suite, decides, attests, and fails closed",
        limit: Duration::from_secs(900),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Asked("it takes minutes of emulation"), Need::Root],
        steps: vec![words(build), words(run)],
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
        limit: Duration::from_secs(560),
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
        limit: Duration::from_secs(180),
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
        limit: Duration::from_secs(100),
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

fn release() -> Part {
    let build = "cargo build --release --package quixote";
    let tests = "cargo test --release --workspace --all-features --no-fail-fast";
    Part {
        name: "release",
        about: "tests, tutorial, corpus, attacks and races with the release build",
        limit: Duration::from_secs(2 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Asked("the same as other parts, once more")],
        steps: [build, tests, TUTORIAL, CORPUS, ATTACKS, RACES].map(words).into(),
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
    let same = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/kernel_source.sh \
                target/debug/quixote";
    let border = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/kernel_border.sh \
                  target/debug/quixote";
    Part {
        name: "kernel-source",
        about: "a workload has the same coefficients under both sources, is enforced in the kernel, and \
                cannot reach its orchestrator or the programs",
        limit: Duration::from_secs(900),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::File("conformance/kernel_border.sh")],
        steps: [same, border].map(words).into(),
    }
}

fn kernel_models() -> Part {
    let run =
        "cargo xtask vm --kernel 6.12 -- sh conformance/kernel_models.sh target/debug/quixote";
    Part {
        name: "kernel-models",
        about: "under the kernel source what the model knows goes on without the orchestrator, \
                directories and links whose names only a rule allows are made, a model is replaced \
                while its workload runs; nothing else is allowed",
        limit: Duration::from_secs(600),
        required: true,
        lane: Lane::Aside,
        needs: vec![Need::File("conformance/kernel_models.sh")],
        steps: vec![words(run)],
    }
}

fn kernel_decisions() -> Part {
    let quixote = "cargo build --release --package quixote";
    let build = "sh conformance/kernel_matrix/build.sh target/xtask/kernel_matrix";
    let run = "cargo xtask vm --timeout 3000 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
               conformance/run_kernel_matrix.py decisions target/xtask/kernel_matrix/triggers";
    let full =
        "cargo xtask vm --timeout 3000 --kernel 6.1 --kernel 6.12 -- sh conformance/kernel_full.sh";
    Part {
        name: "kernel-decisions",
        about: "every event is allowed and denied by the kernel source on both kernels; the profile full",
        limit: Duration::from_secs(4 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![
            Need::Asked("it takes many minutes of emulation"),
            Need::Root,
            Need::File("conformance/kernel_full.sh"),
        ],
        steps: [quixote, build, run, full].map(words).into(),
    }
}

fn kernel_files() -> Part {
    let quixote = "cargo build --release --package quixote";
    let run = "cargo xtask vm --timeout 3000 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
               conformance/run_kernel_files.py";
    Part {
        name: "kernel-files",
        about: "digests on overlays, tmpfs, bind mounts, in memory, without a name: every change between two uses is denied",
        limit: Duration::from_secs(2 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Asked("it takes many minutes of emulation"), Need::Root],
        steps: [quixote, run].map(words).into(),
    }
}

fn kernel_check() -> Part {
    let build = "cargo build --release --package kernel-source --examples";
    let run = "cargo xtask vm --timeout 1500 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
               conformance/run_kernel_check.py";
    Part {
        name: "kernel-check",
        about: "the programs' own encoder comes to every vector's coefficient, in both kernels",
        limit: Duration::from_secs(3600),
        required: false,
        lane: Lane::Aside,
        needs: vec![
            Need::Asked("it takes minutes of emulation"),
            Need::Root,
            Need::File("conformance/run_kernel_check.py"),
        ],
        steps: [build, run].map(words).into(),
    }
}

fn kernel_cost() -> Part {
    let build = "cargo build --release --package kernel-source --examples";
    let run = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_cost.py";
    Part {
        name: "kernel-cost",
        about: "no program costs either kernel's verifier much more than is recorded",
        limit: Duration::from_secs(1800),
        required: false,
        lane: Lane::Aside,
        needs: vec![
            Need::Asked("it needs the release build"),
            Need::File("conformance/verifier_cost.json"),
        ],
        steps: [build, run].map(words).into(),
    }
}

fn kernel_direct() -> Part {
    let programs = "sh conformance/kernel_matrix/build.sh target/xtask/kernel_matrix";
    let run = "cargo xtask vm --kernel 6.1 --kernel 6.12 --append syscall.x32=y -- sh conformance/kernel_direct.sh \
               target/xtask/kernel_matrix/direct target/debug/quixote";
    Part {
        name: "kernel-direct",
        about: "acts by io_uring, i386 and x32 calls and file handles are stopped by the kernel source",
        limit: Duration::from_secs(1800),
        required: false,
        lane: Lane::Aside,
        needs: vec![
            Need::Asked("it takes minutes of emulation"),
            Need::File("conformance/kernel_direct.sh"),
        ],
        steps: [programs, run].map(words).into(),
    }
}

fn kernel_corpus() -> Part {
    let quixote = "cargo build --release --package quixote";
    let run = "cargo xtask vm --timeout 14000 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_corpus.py";
    Part {
        name: "kernel-corpus",
        about: "workloads of the corpus have the same state under both sources, and each is enforced by the other",
        limit: Duration::from_secs(4 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Asked("it takes hours of emulation"), Need::Root],
        steps: [quixote, run].map(words).into(),
    }
}

fn kernel_attacks() -> Part {
    let quixote = "cargo build --release --package quixote";
    let run = "cargo xtask vm --cpus 1 --timeout 14000 --kernel 6.12 -- \
               sh conformance/kernel_attacks.sh --learn-runs 1";
    Part {
        name: "kernel-attacks",
        about: "every attack on a service that the kernel source enforces is stopped and named",
        limit: Duration::from_secs(4 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![
            Need::Asked("it takes hours of emulation"),
            Need::Root,
            Need::File("conformance/kernel_attacks.sh"),
        ],
        steps: [quixote, run].map(words).into(),
    }
}

fn kernel_lockdown() -> Part {
    let quixote = "cargo build --release --package quixote";
    let run = "cargo xtask vm --timeout 6000 --kernel 6.1 --kernel 6.12 -- \
               /usr/bin/python3 conformance/run_kernel_lockdown.py";
    let parser = "cargo xtask vm --timeout 6000 --kernel 6.1 --kernel 6.12 -- \
                  /usr/bin/python3 conformance/run_kernel_parser.py";
    Part {
        name: "kernel-lockdown",
        about: "what root outside can do to orchestrators, programs, workloads and the parser, it cannot under a lockdown",
        limit: Duration::from_secs(4 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Asked("it takes many minutes of emulation"), Need::Root],
        steps: [quixote, run, parser].map(words).into(),
    }
}

fn kernel_upgrade() -> Part {
    let other = "sh conformance/build_other_programs.sh";
    let quixote = "cargo build --release --package quixote";
    let run = "cargo xtask vm --cpus 1 --timeout 6000 --kernel 6.1 --kernel 6.12 -- \
               /usr/bin/python3 conformance/run_kernel_upgrade.py";
    Part {
        name: "kernel-upgrade",
        about: "two builds with different programs on one kernel: namespaces live through the upgrade, and reach nothing of the other",
        limit: Duration::from_secs(4 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![Need::Asked("it takes many minutes of emulation"), Need::Root],
        steps: [other, quixote, run].map(words).into(),
    }
}

fn upgrade() -> Part {
    Part {
        name: "upgrade",
        about: "a model lives through signed upgrades, a test's own and Debian's, and through nothing else",
        limit: Duration::from_secs(120),
        required: true,
        lane: Lane::Main,
        needs: vec![Need::Root, Need::Program("gpg"), Need::File("conformance/run_upgrade.py")],
        steps: vec![
            with_tested_program("python3 conformance/run_upgrade.py"),
            with_tested_program("python3 conformance/run_real_upgrade.py"),
        ],
    }
}

fn ima() -> Part {
    Part {
        name: "ima",
        about: "a boot's whole list, predicted measurements, PCRs and signatures hold on Debian's kernels with a TPM",
        limit: Duration::from_secs(3600),
        required: false,
        lane: Lane::Main,
        needs: vec![
            Need::Asked("a boot hung, with two emulated processors; not seen again with one"),
            Need::Program("qemu-system-x86_64"),
            Need::Program("swtpm"),
            Need::Program("evmctl"),
            Need::Program("keyctl"),
        ],
        steps: vec![
            vec!["python3", "conformance/run_ima.py", "--kernel", "6.12"],
            vec!["python3", "conformance/run_ima.py", "--kernel", "6.1"],
        ],
    }
}

fn mutations() -> Part {
    let command = "env QUIXOTE_MUTATIONS=100000 cargo test --release --package references --test references \
                   no_mutated_package -- --nocapture";
    Part {
        name: "mutations",
        about: "100,000 mutated packages: none is vouched for with other contents, beside rpmkeys and the rpm crate",
        limit: Duration::from_secs(3 * 3600),
        required: false,
        lane: Lane::Main,
        needs: vec![
            Need::Asked("it takes many minutes"),
            Need::Program("rpmsign"),
            Need::Program("rpmbuild"),
        ],
        steps: vec![words(command)],
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
