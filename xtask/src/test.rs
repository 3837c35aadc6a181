//! `cargo xtask test`: every check of the project, in one table.
//!
//! The order is from what fails fastest to what takes longest. A new check is one more entry here.

use crate::chore::Need;
use crate::chore::Part;
use crate::lint;
use std::time::Duration;

/// The parts of the chore.
pub(crate) fn parts() -> Vec<Part> {
    let own = [
        workspace(),
        fuzz(),
        vectors(),
        bare_metal(),
        aarch64(),
        documents(),
        release(),
        tutorial(),
        corpus(),
        attacks(),
        races(),
        upgrade(),
        ima(),
        mutations(),
        stubdomain(),
        mcu(),
        localities(),
        vsock(),
        machine(),
        kernel_matrix(),
        kernel_source(),
        kernel_decisions(),
    ];
    // First what the rest is built with.
    std::iter::once(packages()).chain(lint::parts()).chain(own).collect()
}

fn stubdomain() -> Part {
    let suite = "python3 conformance/run_bare_agents.py stubdomain";
    let attacks = "python3 conformance/run_attacks.py --ci --learn-runs 1 \
        --tma vm:target/agents/x86_64-unknown-none/release/stubdomain \
        --only read_shadow --only flipped_byte_in_binary --only write_then_exec --only kill_outside";
    Part {
        name: "stubdomain",
        about: "the agent alone in a virtual machine passes the suite, stops attacks, fails closed",
        limit: Duration::from_secs(180),
        required: true,
        needs: vec![Need::Program("qemu-system-x86_64"), Need::Program("ld.lld-19")],
        steps: vec![suite.split(' ').collect(), attacks.split_whitespace().collect()],
    }
}

fn mcu() -> Part {
    let command = "python3 conformance/run_bare_agents.py mcu --attack read_private_file \
                   --no-suite mps2-an385 \
                   --build-also nrf52840dk";
    Part {
        name: "mcu",
        about: "the agent on emulated microcontrollers passes its suite, decides within its memory, stops an attack",
        limit: Duration::from_secs(520),
        required: true,
        needs: vec![Need::Program("qemu-system-arm"), Need::Program("ld.lld-19")],
        steps: vec![command.split_whitespace().collect()],
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
        needs: vec![
            Need::Asked("it takes an hour"),
            Need::Root,
            Need::Program("qemu-system-x86_64"),
            Need::Program("qemu-system-arm"),
            Need::Program("ld.lld-19"),
        ],
        steps: steps.map(|step| step.split_whitespace().collect()).into(),
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
        needs: vec![Need::Asked("it takes minutes of emulation"), Need::Root],
        steps: vec![build.split(' ').collect(), run.split(' ').collect()],
    }
}

fn packages() -> Part {
    Part {
        name: "setup",
        about: "what the checks need is installed",
        limit: Duration::from_secs(230),
        required: true,
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
        needs: vec![],
        steps: vec![command.split(' ').collect()],
    }
}

fn vectors() -> Part {
    Part {
        name: "vectors",
        about: "a second computation of every conformance vector agrees",
        limit: Duration::from_secs(25),
        required: true,
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
        needs: vec![],
        steps: vec![vec!["cargo", "xtask", "docs", "--check"]],
    }
}

fn release() -> Part {
    Part {
        name: "release",
        about: "the binary that tutorial, corpus and attacks run",
        limit: Duration::from_secs(490),
        required: true,
        needs: vec![],
        steps: vec![vec!["cargo", "build", "--release", "--package", "quixote"]],
    }
}

fn tutorial() -> Part {
    Part {
        name: "tutorial",
        about: "the ten-minute tutorial, run as it is written",
        limit: Duration::from_secs(60),
        required: true,
        needs: vec![],
        steps: vec![vec!["cargo", "xtask", "tutorial", "docs/book/src/tutorial.md"]],
    }
}

fn corpus() -> Part {
    Part {
        name: "corpus",
        about: "real services: same state every run, no forensics, enforced without a denial",
        limit: Duration::from_secs(500),
        required: true,
        needs: vec![Need::File("conformance/run_corpus.py")],
        steps: vec![vec!["python3", "conformance/run_corpus.py", "--ci"]],
    }
}

fn attacks() -> Part {
    Part {
        name: "attacks",
        about: "every attack on an enforced service is stopped and named",
        limit: Duration::from_secs(320),
        required: true,
        needs: vec![Need::File("conformance/run_attacks.py")],
        steps: vec![vec!["python3", "conformance/run_attacks.py"]],
    }
}

fn races() -> Part {
    Part {
        name: "races",
        about: "attackers that rewrite, swap and reuse what is being judged win nothing",
        limit: Duration::from_secs(320),
        required: true,
        needs: vec![Need::File("conformance/run_races.py")],
        steps: vec![vec!["python3", "conformance/run_races.py"]],
    }
}

fn machine() -> Part {
    let command = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/vm_check.sh";
    Part {
        name: "vm",
        about: "both of Debian's kernels boot with this checkout inside, with the BPF LSM active",
        limit: Duration::from_secs(100),
        required: true,
        needs: vec![Need::File("conformance/vm_check.sh")],
        steps: vec![command.split(' ').collect()],
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
        limit: Duration::from_secs(280),
        required: true,
        needs: vec![Need::File("conformance/run_kernel_matrix.py")],
        steps: vec![build.split(' ').collect(), run.split_whitespace().collect()],
    }
}

fn kernel_source() -> Part {
    let same = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/kernel_source.sh";
    let border = "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/kernel_border.sh";
    Part {
        name: "kernel-source",
        about: "a workload has the same coefficients under both sources, is enforced in the kernel, and \
                cannot reach its orchestrator or the programs",
        limit: Duration::from_secs(340),
        required: true,
        needs: vec![Need::File("conformance/kernel_border.sh")],
        steps: vec![same.split(' ').collect(), border.split(' ').collect()],
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
        needs: vec![
            Need::Asked("it takes many minutes of emulation"),
            Need::Root,
            Need::File("conformance/kernel_full.sh"),
        ],
        steps: [quixote, build, run, full].map(|step| step.split_whitespace().collect()).into(),
    }
}

fn upgrade() -> Part {
    Part {
        name: "upgrade",
        about: "a model lives through signed upgrades, a test's own and Debian's, and through nothing else",
        limit: Duration::from_secs(120),
        required: true,
        needs: vec![Need::Root, Need::Program("gpg"), Need::File("conformance/run_upgrade.py")],
        steps: vec![
            vec!["python3", "conformance/run_upgrade.py"],
            vec!["python3", "conformance/run_real_upgrade.py"],
        ],
    }
}

fn ima() -> Part {
    Part {
        name: "ima",
        about: "predicted measurements, PCRs and signatures hold on Debian's kernels with a TPM",
        limit: Duration::from_secs(240),
        required: false,
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
        needs: vec![
            Need::Asked("it takes many minutes"),
            Need::Program("rpmsign"),
            Need::Program("rpmbuild"),
        ],
        steps: vec![command.split_whitespace().collect()],
    }
}

fn fuzz() -> Part {
    let command = "cargo test --manifest-path fuzz/Cargo.toml";
    Part {
        name: "fuzz",
        about: "every parser over its fuzz corpus and damaged copies of it, as plain tests",
        limit: Duration::from_secs(220),
        required: true,
        needs: vec![Need::File("fuzz/Cargo.toml")],
        steps: vec![command.split(' ').collect()],
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
        let all: Duration = parts().iter().filter(|part| !asked(part)).map(|part| part.limit).sum();
        assert!(all < Duration::from_secs(5400), "{all:?}");
    }
}
