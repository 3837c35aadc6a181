//! Task identities and coefficients: what a process is, and what an event of it is.
//!
//! A process is named by the chain of executables that led to it, never by a process id, and an
//! event by one digest over its name, that chain, its COE and its CELL.

use crate::Digest;
use crate::EventKind;

/// `NULL_ID`: the identity of a process that has not executed anything in the namespace.
pub const NULL_ID: Digest = Digest::ZERO;

/// `PTASK_ID` and `TASK_ID` of a process. A fork copies both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIdentity {
    /// `PTASK_ID`: the `TASK_ID` that was held before the last exec.
    pub parent: Digest,
    /// `TASK_ID`.
    pub task: Digest,
}

impl TaskIdentity {
    /// The first process of a namespace, before its first exec: who launched it does not show.
    pub const INITIAL: Self = Self { parent: NULL_ID, task: NULL_ID };

    /// The identity after an exec with the digests of its COE and CELL.
    #[must_use]
    pub fn exec(self, coe_digest: Digest, cell_digest: Digest) -> Self {
        let after = Self { parent: self.task, task: NULL_ID };
        let task = coefficient(EventKind::BprmCommittedCreds, after, coe_digest, cell_digest);
        Self { task, ..after }
    }
}

/// The coefficient of an event of a process with `identity`.
///
/// For `bprm_committed_creds` that is the identity after the exec, [`TaskIdentity::exec`].
pub fn coefficient(
    kind: EventKind,
    identity: TaskIdentity,
    coe_digest: Digest,
    cell_digest: Digest,
) -> Digest {
    let mut input = [0; 160];
    let parts = [&event_digest(kind), &identity.parent, &identity.task, &coe_digest, &cell_digest];
    for (slot, part) in input.chunks_exact_mut(32).zip(parts) {
        slot.copy_from_slice(&part.0);
    }
    Digest::of(&[&input])
}

/// HF(EVENT): the digest of the event's name.
pub fn event_digest(kind: EventKind) -> Digest {
    Digest(EVENT_DIGESTS[kind as usize - 1])
}

static EVENT_DIGESTS: [[u8; 32]; EventKind::ALL.len()] = event_digests();

const fn event_digests() -> [[u8; 32]; EventKind::ALL.len()] {
    let mut digests = [[0; 32]; EventKind::ALL.len()];
    let mut index = 0;
    while index < digests.len() {
        digests[index] = name_digest(EventKind::ALL[index].name().as_bytes());
        index += 1;
    }
    digests
}

/// SHA-256 of at most 55 octets, at compile time; the tests hold it against the `sha2` crate.
const fn name_digest(name: &[u8]) -> [u8; 32] {
    assert!(name.len() < 56, "an event's name fits one block");
    let mut schedule = schedule(name);
    let mut state = [
        0x6a09_e667_u32,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let initial = state;
    let mut round = 0;
    while round < 64 {
        state = next(state, ROUND[round].wrapping_add(schedule[round % 16]));
        schedule[round % 16] = expand(&schedule, round);
        round += 1;
    }
    let mut digest = [0; 32];
    let mut word = 0;
    while word < 8 {
        let octets = state[word].wrapping_add(initial[word]).to_be_bytes();
        let mut octet = 0;
        while octet < 4 {
            digest[word * 4 + octet] = octets[octet];
            octet += 1;
        }
        word += 1;
    }
    digest
}

/// The padded block as 16 words.
const fn schedule(name: &[u8]) -> [u32; 16] {
    let mut words = [0_u32; 16];
    let mut index = 0;
    while index < name.len() {
        words[index / 4] |= (name[index] as u32) << (24 - 8 * (index % 4));
        index += 1;
    }
    words[index / 4] |= 0x80 << (24 - 8 * (index % 4));
    words[15] = name.len() as u32 * 8;
    words
}

/// The schedule's word 16 rounds after `round`, in a ring of 16.
const fn expand(words: &[u32; 16], round: usize) -> u32 {
    let w15 = words[(round + 1) % 16];
    let w2 = words[(round + 14) % 16];
    let s0 = w15.rotate_right(7) ^ w15.rotate_right(18) ^ (w15 >> 3);
    let s1 = w2.rotate_right(17) ^ w2.rotate_right(19) ^ (w2 >> 10);
    words[round % 16].wrapping_add(s0).wrapping_add(words[(round + 9) % 16]).wrapping_add(s1)
}

#[allow(clippy::many_single_char_names, reason = "the names of FIPS 180-4")]
const fn next(state: [u32; 8], word: u32) -> [u32; 8] {
    let [a, b, c, d, e, f, g, h] = state;
    let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choose = (e & f) ^ (!e & g);
    let t1 = h.wrapping_add(s1).wrapping_add(choose).wrapping_add(word);
    let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    [t1.wrapping_add(s0.wrapping_add(majority)), a, b, c, d.wrapping_add(t1), e, f, g]
}

const ROUND: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_digest_is_sha_256() {
        for kind in EventKind::ALL {
            assert_eq!(event_digest(*kind), Digest::of(&[kind.name().as_bytes()]));
        }
        assert_eq!(Digest(name_digest(b"")), Digest::of(&[]));
        assert_eq!(Digest(name_digest(&[b'x'; 55])), Digest::of(&[&[b'x'; 55]]));
    }

    #[test]
    fn a_chain_of_execs_without_forks_loses_no_link() {
        let (coe, sh, ls) = (Digest([1; 32]), Digest([2; 32]), Digest([3; 32]));
        let direct = TaskIdentity::INITIAL.exec(coe, ls);
        let chained = TaskIdentity::INITIAL.exec(coe, sh).exec(coe, ls);
        assert_eq!(direct.parent, NULL_ID);
        assert_eq!(chained.parent, TaskIdentity::INITIAL.exec(coe, sh).task);
        assert_ne!(direct.task, chained.task);
    }

    #[test]
    fn a_coefficient_is_the_digest_of_five_digests() {
        let name = Digest::of(&[b"file_open"]);
        let identity = TaskIdentity { parent: Digest([1; 32]), task: Digest([2; 32]) };
        let (coe, cell) = (Digest([3; 32]), Digest([4; 32]));
        let parts: [&[u8]; 5] = [&name.0, &identity.parent.0, &identity.task.0, &coe.0, &cell.0];
        let expected = Digest::of(&parts);
        assert_eq!(coefficient(EventKind::FileOpen, identity, coe, cell), expected);
    }
}
