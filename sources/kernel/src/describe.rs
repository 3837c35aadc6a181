//! Messages as descriptions, and what an allowed event does to the file system.

use tsem::Address;
use tsem::Cell;
use tsem::Coe;
use tsem::DecodeError;
use tsem::Description;
use tsem::Digest;
use tsem::Effect;
use tsem::EventKind;
use tsem::ProcessId;
use tsem::TaskIdentity;
use tsem::Value;
use tsem::coefficient;
use tsem::decode_cell;
use tsem::decode_coe;
use tsem::encode_cell;
use tsem::encode_coe;

use crate::wire;
use crate::wire::Message;

/// The name of a message's kind of event.
pub(crate) fn kind_name(message: &Message<'_>) -> &'static str {
    let kind = u16::try_from(message.kind).ok().and_then(EventKind::from_code);
    kind.map_or("unknown", EventKind::name)
}

/// The event of a message.
pub(crate) fn event(message: &Message<'_>) -> Result<Description, DecodeError> {
    let cell = decode_cell(message.cell)?;
    let coe = decode_coe(message.coe)?;
    let target = match message.flags & (wire::HAS_TARGET | wire::TARGET_INSIDE) {
        0 => None,
        wire::HAS_TARGET => Some(None),
        _ => Some(Some(ProcessId(message.other))),
    };
    let targets = target.into_iter().collect();
    Ok(Description { process: ProcessId(message.process), pid: message.pid, coe, cell, targets })
}

/// The coefficient of an event that is not an exec's, as the kernel computes it: no rule is applied.
pub(crate) fn coefficient_of(identity: TaskIdentity, coe: &Coe, cell: &Cell) -> Option<Digest> {
    let mut octets = Vec::new();
    encode_cell(cell, &mut octets).ok()?;
    let (coe, digest) = (Digest::of(&[&encode_coe(coe)]), Digest::of(&[&octets]));
    Some(coefficient(cell.kind, identity, coe, digest))
}

/// Whether the coefficient that the kernel computed is the one of the encoding it sent.
pub(crate) fn coefficient_agrees(message: &Message<'_>, kind: EventKind) -> bool {
    if message.coefficient.is_zero() || kind == EventKind::BprmCommittedCreds {
        return true;
    }
    let identity = TaskIdentity { parent: message.parent_id, task: message.task_id };
    let (coe, cell) = (Digest::of(&[message.coe]), Digest::of(&[message.cell]));
    coefficient(kind, identity, coe, cell) == message.coefficient
}

/// Takes the digest of a file that is only opened away, where no rule asks for it. True if the
/// event is not any more what the kernel wrote down.
pub(crate) fn drop_unwanted_digest(cell: &mut Cell, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let opened = cell.is_opened_to_use();
    let Some(Value::File(file)) = cell.values.first_mut() else { return false };
    if !opened || file.digest.is_zero() || wanted(&file.place.path) {
        return false;
    }
    file.digest = Digest::ZERO;
    true
}

/// What an allowed event does to names, told as it is allowed.
pub(crate) fn effects(cell: &Cell) -> Vec<Effect<'_>> {
    let path = |index: usize| match cell.values.get(index) {
        Some(Value::Path(place) | Value::Address(Address::UnixPath(place))) => &place.path[..],
        _ => b"",
    };
    match cell.kind {
        EventKind::InodeCreate
        | EventKind::InodeMkdir
        | EventKind::InodeMknod
        | EventKind::InodeSymlink => vec![Effect::Made(path(0))],
        EventKind::InodeLink => vec![Effect::Made(path(1))],
        EventKind::InodeUnlink | EventKind::InodeRmdir => vec![Effect::Removed(path(0))],
        EventKind::InodeRename => vec![Effect::Renamed { from: path(0), to: path(1) }],
        _ => Vec::new(),
    }
}
