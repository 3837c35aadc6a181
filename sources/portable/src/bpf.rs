//! Assembles the seccomp filter from the table of calls.
//!
//! Classic BPF with forward jumps of at most 255 instructions, so every call's block ends in a
//! return of its own and is skipped as a whole when the number differs.

use crate::filter_table::Action;
use crate::filter_table::CALLS;
use crate::filter_table::Condition;
use crate::filter_table::LAST_CALL;

const LD_ABS: u16 = 0x20;
const JEQ: u16 = 0x15;
const JGE: u16 = 0x35;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
const AND: u16 = 0x54;

const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const ERRNO: u32 = 0x0005_0000;

#[cfg(target_arch = "x86_64")]
pub(crate) const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(crate) const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Set in the numbers of x32 calls.
#[cfg(target_arch = "x86_64")]
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// `struct seccomp_data`: nr, arch, instruction pointer, six arguments.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

const fn argument_low(index: u8) -> u32 {
    16 + 8 * index as u32
}

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn result(action: Action) -> u32 {
    match action {
        Action::Notify => NOTIFY,
        Action::Errno(errno) => ERRNO | errno as u32,
    }
}

/// The whole program for this architecture.
pub(crate) fn assemble() -> Vec<libc::sock_filter> {
    let mut program = vec![
        instruction(LD_ABS, 0, 0, ARCHITECTURE_OFFSET),
        instruction(JEQ, 1, 0, AUDIT_ARCH),
        instruction(RET, 0, 0, NOTIFY),
        instruction(LD_ABS, 0, 0, NUMBER_OFFSET),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([instruction(JGE, 0, 1, X32_BIT), instruction(RET, 0, 0, NOTIFY)]);
    let unknown = result(Action::Errno(libc::ENOSYS));
    program.extend([instruction(JGE, 0, 1, LAST_CALL + 1), instruction(RET, 0, 0, unknown)]);
    for call in CALLS {
        let block = block(call.condition, call.action);
        program.push(instruction(JEQ, 0, block.len() as u8, call.number as u32));
        program.extend(block);
    }
    program.push(instruction(RET, 0, 0, ALLOW));
    program
}

/// What runs when the number matches; always ends in a return.
fn block(condition: Condition, action: Action) -> Vec<libc::sock_filter> {
    let hit = instruction(RET, 0, 0, result(action));
    let miss = instruction(RET, 0, 0, ALLOW);
    match condition {
        Condition::Always => vec![hit],
        Condition::AnyBit { argument, mask } => vec![
            instruction(LD_ABS, 0, 0, argument_low(argument)),
            instruction(JSET, 0, 1, mask),
            hit,
            miss,
        ],
        Condition::NoBit { argument, mask } => vec![
            instruction(LD_ABS, 0, 0, argument_low(argument)),
            instruction(JSET, 1, 0, mask),
            hit,
            miss,
        ],
        Condition::MaskedIs { argument, mask, value } => vec![
            instruction(LD_ABS, 0, 0, argument_low(argument)),
            instruction(AND, 0, 0, mask),
            instruction(JEQ, 0, 1, value),
            hit,
            miss,
        ],
        Condition::AnyBitOrMaskedIs { argument, any, mask, value } => vec![
            instruction(LD_ABS, 0, 0, argument_low(argument)),
            instruction(JSET, 2, 0, any),
            instruction(AND, 0, 0, mask),
            instruction(JEQ, 0, 1, value),
            hit,
            miss,
        ],
        Condition::NotZero { argument } => vec![
            instruction(LD_ABS, 0, 0, argument_low(argument)),
            instruction(JEQ, 0, 2, 0),
            instruction(LD_ABS, 0, 0, argument_low(argument) + 4),
            instruction(JEQ, 1, 0, 0),
            hit,
            miss,
        ],
        Condition::OneOf { argument, values } => one_of(argument, values, hit, miss),
        Condition::NoneOf { argument, values } => one_of(argument, values, miss, hit),
    }
}

fn one_of(
    argument: u8,
    values: &[u32],
    found: libc::sock_filter,
    not_found: libc::sock_filter,
) -> Vec<libc::sock_filter> {
    let mut block = vec![instruction(LD_ABS, 0, 0, argument_low(argument))];
    for (index, value) in values.iter().enumerate() {
        block.push(instruction(JEQ, (values.len() - index) as u8, 0, *value));
    }
    block.push(not_found);
    block.push(found);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program over one call, as the kernel would.
    fn run(number: u32, architecture: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(architecture.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        for argument in arguments {
            data.extend(argument.to_ne_bytes());
        }
        let (program, mut at, mut a) = (assemble(), 0, 0_u32);
        loop {
            let step = program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            match step.code {
                LD_ABS => {
                    let offset = step.k as usize;
                    a = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                AND => a &= step.k,
                JEQ => at += jump(a == step.k),
                JGE => at += jump(a >= step.k),
                JSET => at += jump(a & step.k != 0),
                RET => return step.k,
                code => panic!("unknown instruction {code}"),
            }
        }
    }

    fn native(number: libc::c_long, arguments: [u64; 6]) -> u32 {
        run(number as u32, AUDIT_ARCH, arguments)
    }

    #[test]
    fn calls_go_where_the_table_says() {
        let none = [0; 6];
        assert_eq!(native(libc::SYS_read, none), ALLOW);
        assert_eq!(native(libc::SYS_openat, none), NOTIFY);
        assert_eq!(native(libc::SYS_openat, [0, 0, libc::O_PATH as u64, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_clone3, none), ERRNO | libc::ENOSYS as u32);
        assert_eq!(native(libc::SYS_mmap, [0, 0, 3, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_mmap, [0, 0, 5, 0, 0, 0]), NOTIFY);
        assert_eq!(native(libc::SYS_sendto, [3, 1, 1, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_sendto, [3, 1, 1, 0, 1 << 32, 16]), NOTIFY);
        assert_eq!(native(libc::SYS_sendto, [3, 1, 1, 0, 8, 16]), NOTIFY);
        assert_eq!(native(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(native(libc::SYS_prctl, [15, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(native(libc::SYS_prctl, [35, 0, 0, 0, 0, 0]), NOTIFY);
    }

    #[test]
    fn threads_and_forks_are_free_and_new_namespaces_are_not() {
        let call = |flags: i32| native(libc::SYS_clone, [flags as u32 as u64, 0, 0, 0, 0, 0]);
        assert_eq!(call(libc::SIGCHLD), ALLOW);
        assert_eq!(call(libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_THREAD), ALLOW);
        assert_eq!(call(libc::CLONE_NEWUSER), NOTIFY);
        assert_eq!(call(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD), ALLOW);
        assert_eq!(call(libc::CLONE_FILES | libc::SIGCHLD), NOTIFY);
    }

    #[test]
    fn foreign_calls_are_notified() {
        assert_eq!(run(1, 0x4000_0003, [0; 6]), NOTIFY);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(run(X32_BIT | 1, AUDIT_ARCH, [0; 6]), NOTIFY);
    }

    #[test]
    fn calls_that_nobody_has_looked_at_are_not_there() {
        let unknown = ERRNO | libc::ENOSYS as u32;
        assert_eq!(native(LAST_CALL.into(), [0; 6]), ALLOW);
        assert_eq!(native(libc::c_long::from(LAST_CALL) + 1, [0; 6]), unknown);
        assert_eq!(native(999, [0; 6]), unknown);
        assert!(CALLS.iter().all(|call| call.number as u32 <= LAST_CALL));
    }

    #[test]
    fn the_program_fits_the_kernel() {
        assert!(assemble().len() < 4096);
    }
}
