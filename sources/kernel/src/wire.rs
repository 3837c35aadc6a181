//! What programs and orchestrator exchange; `bpf/wire.h` has the same layout.

use tsem::Digest;
use tsem::TaskIdentity;

/// Slots for namespaces.
pub(crate) const SLOTS: u32 = 1024;
/// Octets of `struct message` before the cell.
pub(crate) const MESSAGE_SIZE: usize = 200;
/// A message of a process's beginning or end ends there.
const NOTICE_SIZE: usize = 48;
/// Octets of `struct namespace`.
pub(crate) const NAMESPACE_SIZE: usize = 192;
/// Octets of `struct task`.
pub(crate) const TASK_SIZE: usize = 216;

/// In the map of orchestrators, in place of a slot: of another set of programs.
pub(crate) const OTHER_SET: [u8; 4] = u32::MAX.to_ne_bytes();
/// Octets of `struct namespace` that every set of programs of our version has in the same places.
pub(crate) const KNOWN_TO_ALL: usize = at::LIVE + 8;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageType {
    /// A task waits for the answer to its sequence number.
    Judge,
    /// Decided in the kernel already.
    Told,
    Forked,
    Exited,
    Committed,
    /// An exec that was allowed did not happen.
    Failed,
    /// An event could not be described.
    Lost,
}

/// [`Message::flags`].
pub(crate) const DENIED: u32 = 1;
pub(crate) const HAS_TARGET: u32 = 4;
pub(crate) const TARGET_INSIDE: u32 = 8;
pub(crate) const WANTS_DIGEST: u32 = 16;
pub(crate) const NAMES_SOURCE: u32 = 32;

/// `struct answer`.
pub(crate) const ANSWER_CACHE: u32 = 1;
pub(crate) const ANSWER_UNTRUST: u32 = 2;
const ANSWER_NAMES: u32 = 4;

/// How a model knows a coefficient: to hooks that cannot wait, or to all.
pub(crate) const KNOWN: u8 = 1;
pub(crate) const KNOWN_EXACTLY: u8 = 2;

/// Bits of the namespace's flags.
pub(crate) const NAMESPACE_ORPHANED: u32 = 1;
pub(crate) const NAMESPACE_KILLED: u32 = 2;
pub(crate) const NAMESPACE_DIGESTS: u32 = 4;
pub(crate) const NAMESPACE_UNTRUSTS: u32 = 8;
pub(crate) const NAMESPACE_KILL_ORPHANED: u32 = 16;
pub(crate) const NAMESPACE_COEFFICIENTS: u32 = 32;
pub(crate) const NAMESPACE_SHIELDED: u32 = 64;
pub(crate) const NAMESPACE_DECIDES: u32 = 128;
pub(crate) const NAMESPACE_DISTRUSTED: u32 = 256;

/// Bits of the task's flags.
pub(crate) const TASK_FULL: u32 = 16;

/// Offsets in `struct namespace`.
pub(crate) mod at {
    pub(crate) const MODE: usize = 0;
    pub(crate) const GENERATION: usize = 4;
    pub(crate) const FLAGS: usize = 8;
    pub(crate) const UNTRUSTED: usize = 12;
    pub(crate) const ORCHESTRATOR: usize = 16;
    pub(crate) const PATIENCE: usize = 24;
    pub(crate) const SEQUENCE: usize = 64;
    pub(crate) const PROCESSES: usize = 72;
    pub(crate) const LIVE: usize = 80;
    pub(crate) const WAITED: usize = 88;
    pub(crate) const DECIDED: usize = 96;
    pub(crate) const DENIED: usize = 104;
    pub(crate) const DROPPED: usize = 112;
    pub(crate) const UNJUDGED: usize = 120;
    pub(crate) const LATE: usize = 128;
}

/// Whether nobody uses a slot: an orphan's is free when its last task is gone.
pub(crate) fn is_unused(mode: u32, flags: u32, live: i64) -> bool {
    mode == 0 || flags & NAMESPACE_ORPHANED != 0 && live <= 0
}

/// Whether somebody uses a slot of any set of our version; one that cannot be read is.
pub(crate) fn is_used(namespace: &[u8]) -> bool {
    let read = || {
        Some((word(namespace, at::MODE)?, word(namespace, at::FLAGS)?, long(namespace, at::LIVE)?))
    };
    read().is_none_or(|(mode, flags, live)| !is_unused(mode, flags, live as i64))
}

/// A message of the ring, its cell still encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) about: MessageType,
    /// The code of an event's kind.
    pub(crate) kind: u32,
    pub(crate) sequence: u64,
    pub(crate) process: u64,
    /// Child of a fork, target of an event.
    pub(crate) other: u64,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) flags: u32,
    pub(crate) parent_id: Digest,
    pub(crate) task_id: Digest,
    /// Zero where the kernel did not compute it.
    pub(crate) coefficient: Digest,
    pub(crate) coe: &'a [u8],
    /// What the inode's entry in `contents` has, where a digest is wanted.
    pub(crate) born: u64,
    pub(crate) cell: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message; `None` for octets that are none.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        let cell_length = word(octets, 44)? as usize;
        let notice = Self {
            about: MessageType::of(word(octets, 0)?)?,
            kind: word(octets, 4)?,
            sequence: long(octets, 8)?,
            process: long(octets, 16)?,
            other: long(octets, 24)?,
            pid: word(octets, 32)?,
            tid: word(octets, 36)?,
            flags: word(octets, 40)?,
            parent_id: Digest::ZERO,
            task_id: Digest::ZERO,
            coefficient: Digest::ZERO,
            coe: &[],
            born: 0,
            cell: &[],
        };
        if notice.about.is_notice() {
            return Some(notice);
        }
        Some(Self {
            parent_id: digest(octets, NOTICE_SIZE)?,
            task_id: digest(octets, 80)?,
            coefficient: digest(octets, 112)?,
            coe: octets.get(144..144 + tsem::COE_SIZE)?,
            born: long(octets, 192)?,
            cell: octets.get(MESSAGE_SIZE..MESSAGE_SIZE + cell_length)?,
            ..notice
        })
    }
}

impl MessageType {
    /// Whether it ends before identities.
    fn is_notice(self) -> bool {
        matches!(self, Self::Forked | Self::Exited | Self::Committed | Self::Failed)
    }

    fn of(number: u32) -> Option<Self> {
        const ALL: [MessageType; 7] = [
            MessageType::Judge,
            MessageType::Told,
            MessageType::Forked,
            MessageType::Exited,
            MessageType::Committed,
            MessageType::Failed,
            MessageType::Lost,
        ];
        ALL.get((number as usize).checked_sub(1)?).copied()
    }
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

fn long(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}

fn digest(octets: &[u8], at: usize) -> Option<Digest> {
    Some(Digest(octets.get(at..at + 32)?.try_into().ok()?))
}

/// `struct task` of a namespace's first process.
pub(crate) fn first_task(slot: u32, generation: u32, process: u64, flags: u32) -> [u8; TASK_SIZE] {
    let mut octets = [0; TASK_SIZE];
    octets[0..4].copy_from_slice(&slot.to_ne_bytes());
    octets[4..8].copy_from_slice(&generation.to_ne_bytes());
    octets[8..16].copy_from_slice(&process.to_ne_bytes());
    octets[16..20].copy_from_slice(&flags.to_ne_bytes());
    octets
}

/// Slot and process of a `struct task`.
pub(crate) fn owner_of(task: &[u8]) -> Option<(u32, u64)> {
    Some((word(task, 0)?, long(task, 8)?))
}

/// Whose a `struct task` is.
pub(crate) fn identity_of(task: &[u8]) -> Option<TaskIdentity> {
    Some(TaskIdentity { parent: digest(task, 64)?, task: digest(task, 96)? })
}

/// `struct coefficient_key`.
pub(crate) fn coefficient_key(slot: u32, generation: u32, coefficient: &Digest) -> [u8; 40] {
    let mut key = [0; 40];
    key[..4].copy_from_slice(&slot.to_ne_bytes());
    key[4..8].copy_from_slice(&generation.to_ne_bytes());
    key[8..].copy_from_slice(&coefficient.0);
    key
}

/// `struct process_key`.
pub(crate) fn process_key(slot: u32, generation: u32, process: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&slot.to_ne_bytes());
    key[4..8].copy_from_slice(&generation.to_ne_bytes());
    key[8..].copy_from_slice(&process.to_ne_bytes());
    key
}

/// The slot that the key of a `foretold` or `untrusted` entry begins with.
pub(crate) fn slot_of(key: &[u8]) -> Option<u32> {
    word(key, 0)
}

/// `struct answer_key`: the slot, and a number within it.
pub(crate) fn number_key(slot: u32, number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&u64::from(slot).to_ne_bytes());
    key[8..].copy_from_slice(&number.to_ne_bytes());
    key
}

/// When the digest in a `struct content` was begun.
pub(crate) fn born_of(content: &[u8]) -> Option<u64> {
    long(content, 32)
}

/// `struct answer`; `leads_to` is the `TASK_ID` that an exec leads to.
pub(crate) fn answer(verdict: u32, flags: u32, leads_to: Option<&Digest>) -> [u8; 40] {
    let mut octets = [0; 40];
    let names = if leads_to.is_some() { ANSWER_NAMES } else { 0 };
    octets[..4].copy_from_slice(&verdict.to_ne_bytes());
    octets[4..8].copy_from_slice(&(flags | names).to_ne_bytes());
    octets[8..].copy_from_slice(&leads_to.unwrap_or(&Digest::ZERO).0);
    octets
}

/// Events and hits of the `struct tally` of every processor.
pub(crate) fn tallied(tallies: &[Vec<u8>]) -> (u64, u64) {
    let sum = |at| tallies.iter().filter_map(|tally| long(tally, at)).sum();
    (sum(0), sum(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_where_the_header_says() {
        let mut octets = vec![0; MESSAGE_SIZE + 3];
        octets[0] = 1;
        octets[4] = 5;
        octets[16] = 7;
        octets[44] = 3;
        octets[112] = 9;
        octets[MESSAGE_SIZE..].copy_from_slice(b"abc");
        let message = Message::read(&octets).unwrap();
        assert_eq!(message.about, MessageType::Judge);
        assert_eq!((message.kind, message.process, message.cell), (5, 7, &b"abc"[..]));
        assert_eq!(message.coefficient.0[0], 9);
        octets[44] = 4;
        assert!(Message::read(&octets).is_none(), "shorter than it says");
        octets[0] = 8;
        assert!(Message::read(&octets).is_none(), "of no type");
    }

    #[test]
    fn a_notice_ends_before_identities() {
        let mut octets = vec![0; NOTICE_SIZE];
        octets[0] = 3;
        octets[16] = 7;
        octets[24] = 8;
        let message = Message::read(&octets).unwrap();
        assert_eq!((message.about, message.process, message.other), (MessageType::Forked, 7, 8));
        assert!(Message::read(&octets[..NOTICE_SIZE - 1]).is_none(), "shorter than one");
        octets[0] = 2;
        assert!(Message::read(&octets).is_none(), "an event has more");
    }

    #[test]
    fn a_slot_is_used_until_the_last_task_of_an_orphan_is_gone() {
        let namespace = |mode: u32, flags: u32, live: i64| {
            let mut octets = vec![0; NAMESPACE_SIZE];
            octets[at::MODE..at::MODE + 4].copy_from_slice(&mode.to_ne_bytes());
            octets[at::FLAGS..at::FLAGS + 4].copy_from_slice(&flags.to_ne_bytes());
            octets[at::LIVE..at::LIVE + 8].copy_from_slice(&live.to_ne_bytes());
            octets
        };
        assert!(!is_used(&namespace(0, 0, 0)));
        assert!(is_used(&namespace(3, 0, 0)), "its first task is still to come");
        assert!(is_used(&namespace(3, NAMESPACE_ORPHANED, 1)));
        assert!(!is_used(&namespace(3, NAMESPACE_ORPHANED, 0)));
        let longer = [namespace(3, 0, 1), vec![0; 64]].concat();
        assert!(is_used(&longer[..]), "with more behind it");
        assert!(is_used(&longer[..KNOWN_TO_ALL - 1]), "what cannot be read");
    }
}
