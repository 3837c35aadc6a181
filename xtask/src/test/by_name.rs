//! Parts that take long or have to be alone: they run with `--only NAME` and not otherwise.

use super::ATTACKS;
use super::CORPUS;
use super::RACES;
use super::TUTORIAL;
use crate::chore::Lane;
use crate::chore::Need;
use crate::chore::Part;
use crate::chore::words;
use std::time::Duration;

struct Long {
    name: &'static str,
    about: &'static str,
    /// Why it is not part of every run.
    why: &'static str,
    limit_minutes: u64,
    needs: &'static [Need],
    steps: &'static [&'static str],
}

const MINUTES: &str = "it takes minutes of emulation";
const MANY_MINUTES: &str = "it takes many minutes of emulation";
const HOURS: &str = "it takes hours of emulation";

const QUIXOTE: &str = "cargo build --release --package quixote";
const EXAMPLES: &str = "cargo build --release --package kernel-source --examples";
const TRIGGERS: &str = "sh conformance/kernel_matrix/build.sh target/xtask/kernel_matrix";

const LONG: &[Long] = &[
    Long {
        name: "release",
        about: "tests, tutorial, corpus, attacks and races with the release build",
        why: "the same as other parts, once more",
        limit_minutes: 120,
        needs: &[],
        steps: &[
            QUIXOTE,
            "cargo test --release --workspace --all-features --no-fail-fast",
            TUTORIAL,
            CORPUS,
            ATTACKS,
            RACES,
        ],
    },
    Long {
        name: "ima",
        about: "a boot's whole list, predicted measurements, PCRs and signatures hold on Debian's kernels with a TPM",
        why: "a boot hung, with two emulated processors; not seen again with one",
        limit_minutes: 60,
        needs: &[
            Need::Program("qemu-system-x86_64"),
            Need::Program("swtpm"),
            Need::Program("evmctl"),
            Need::Program("keyctl"),
        ],
        steps: &[
            "python3 conformance/run_ima.py --kernel 6.12",
            "python3 conformance/run_ima.py --kernel 6.1",
        ],
    },
    Long {
        name: "mutations",
        about: "100,000 mutated packages: none is vouched for with other contents, beside rpmkeys and the rpm crate",
        why: "it takes many minutes",
        limit_minutes: 180,
        needs: &[Need::Program("rpmsign"), Need::Program("rpmbuild")],
        steps: &[
            "env QUIXOTE_MUTATIONS=100000 cargo test --release --package references --test references \
             no_mutated_package -- --nocapture",
        ],
    },
    Long {
        name: "localities",
        about: "nginx and every attack, with the agent as a process, in a virtual machine, on an emulated board",
        why: "it takes an hour",
        limit_minutes: 240,
        needs: &[
            Need::Root,
            Need::Program("qemu-system-x86_64"),
            Need::Program("qemu-system-arm"),
            Need::Program("ld.lld-19"),
        ],
        steps: &[
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
        ],
    },
    Long {
        name: "vsock",
        about: "the agent behind a vsock port passes its suite, decides, attests, and fails closed",
        why: MINUTES,
        limit_minutes: 15,
        needs: &[Need::Root],
        steps: &[
            "cargo build --release --package quixote --package process-agent --package agent-conformance",
            "cargo xtask vm --kernel 6.1 --kernel 6.12 -- sh conformance/vsock.sh",
        ],
    },
    Long {
        name: "kernel-decisions",
        about: "every event is allowed and denied by the kernel source on both kernels; the profile full",
        why: MANY_MINUTES,
        limit_minutes: 240,
        needs: &[Need::Root],
        steps: &[
            QUIXOTE,
            TRIGGERS,
            "cargo xtask vm --timeout 3000 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
             conformance/run_kernel_matrix.py decisions target/xtask/kernel_matrix/triggers",
            "cargo xtask vm --timeout 3000 --kernel 6.1 --kernel 6.12 -- sh conformance/kernel_full.sh",
        ],
    },
    Long {
        name: "kernel-lives",
        about: "losses under load are counted; killed orchestrators, ten namespaces at once and 1,000 in a row leave nothing behind",
        why: MANY_MINUTES,
        limit_minutes: 180,
        needs: &[Need::Root],
        steps: &[
            QUIXOTE,
            TRIGGERS,
            "cargo xtask vm --timeout 5000 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
             conformance/run_kernel_lives.py target/xtask/kernel_matrix/storm --row 1000",
        ],
    },
    Long {
        name: "kernel-files",
        about: "digests on overlays, tmpfs, bind mounts, in memory, without a name: every change between two uses is denied",
        why: MANY_MINUTES,
        limit_minutes: 120,
        needs: &[Need::Root],
        steps: &[
            QUIXOTE,
            "cargo xtask vm --timeout 3000 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
             conformance/run_kernel_files.py",
        ],
    },
    Long {
        name: "kernel-check",
        about: "the programs' own encoder comes to every vector's coefficient, in both kernels",
        why: MINUTES,
        limit_minutes: 60,
        needs: &[Need::Root],
        steps: &[
            EXAMPLES,
            "cargo xtask vm --timeout 1500 --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 \
             conformance/run_kernel_check.py",
        ],
    },
    Long {
        name: "kernel-cost",
        about: "no program costs either kernel's verifier much more than is recorded",
        why: "it needs the release build",
        limit_minutes: 30,
        needs: &[],
        steps: &[
            EXAMPLES,
            "cargo xtask vm --kernel 6.1 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_cost.py",
        ],
    },
    Long {
        name: "kernel-direct",
        about: "acts by io_uring, i386 and x32 calls and file handles are stopped by the kernel source",
        why: MINUTES,
        limit_minutes: 30,
        needs: &[],
        steps: &[
            QUIXOTE,
            TRIGGERS,
            "cargo xtask vm --kernel 6.1 --kernel 6.12 --append syscall.x32=y -- \
             sh conformance/kernel_direct.sh target/xtask/kernel_matrix/direct",
        ],
    },
    Long {
        name: "kernel-corpus",
        about: "workloads of the corpus have the same state under both sources, and each is enforced by the other",
        why: HOURS,
        limit_minutes: 240,
        needs: &[Need::Root],
        steps: &[
            QUIXOTE,
            "bash conformance/corpus/gcc/prepare.sh --fetch",
            "cargo xtask vm --timeout 14000 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_corpus.py",
            "cargo xtask vm --timeout 14000 --kernel 6.12 -- /usr/bin/python3 conformance/run_kernel_corpus.py --container",
        ],
    },
    Long {
        name: "kernel-attacks",
        about: "every attack on a service that the kernel source enforces is stopped and named",
        why: HOURS,
        limit_minutes: 240,
        needs: &[Need::Root],
        steps: &[
            QUIXOTE,
            "cargo xtask vm --cpus 1 --timeout 14000 --kernel 6.12 -- \
             sh conformance/kernel_attacks.sh --learn-runs 1",
        ],
    },
    Long {
        name: "kernel-lockdown",
        about: "what root outside can do to orchestrators, programs, workloads and the parser, it cannot under a lockdown",
        why: MANY_MINUTES,
        limit_minutes: 240,
        needs: &[Need::Root],
        steps: &[
            QUIXOTE,
            "cargo xtask vm --timeout 6000 --kernel 6.1 --kernel 6.12 -- \
             /usr/bin/python3 conformance/run_kernel_lockdown.py",
            "cargo xtask vm --timeout 6000 --kernel 6.1 --kernel 6.12 -- \
             /usr/bin/python3 conformance/run_kernel_parser.py",
        ],
    },
    Long {
        name: "kernel-upgrade",
        about: "two builds with different programs on one kernel: namespaces live through the upgrade, and reach nothing of the other",
        why: MANY_MINUTES,
        limit_minutes: 240,
        needs: &[Need::Root],
        steps: &[
            "sh conformance/build_other_programs.sh",
            QUIXOTE,
            "cargo xtask vm --cpus 1 --timeout 6000 --kernel 6.1 --kernel 6.12 -- \
             /usr/bin/python3 conformance/run_kernel_upgrade.py",
        ],
    },
];

/// As the table has them.
pub(super) fn parts() -> impl Iterator<Item = Part> {
    LONG.iter().map(|long| Part {
        name: long.name,
        about: long.about,
        limit: Duration::from_secs(60 * long.limit_minutes),
        required: false,
        lane: Lane::Main,
        needs: [&[Need::Asked(long.why)][..], long.needs].concat(),
        steps: long.steps.iter().map(|step| words(step)).collect(),
    })
}
