//! An event on the wire: the whole description, from which the agent forms everything itself.

use alloc::vec::Vec;

use tsem::COE_SIZE;
use tsem::Coe;
use tsem::DecodeError;
use tsem::Description;
use tsem::Digest;
use tsem::ProcessId;

use crate::bound::CELL_MAX;
use crate::bound::TARGETS_MAX;
use crate::message::MessageError;
use crate::wire::Reader;
use crate::wire::Write;

/// Whom an event is about, for each `Task` field.
pub type Target = Option<ProcessId>;

/// An event, read but not believed.
#[derive(Clone, Copy, Debug)]
pub struct EventMessage<'a> {
    /// Who acts.
    pub process: ProcessId,
    /// The acting process's id as procfs shows it.
    pub pid: u32,
    /// The `TASK_ID` that the source believes the process to have, where it keeps one. The agent
    /// compares it with its own record and refuses the event if they differ.
    pub claim: Option<Digest>,
    /// With which credentials.
    pub coe: Coe,
    targets: [Target; TARGETS_MAX],
    target_count: usize,
    /// The CELL's encoding, before canonical form and rules.
    pub cell: &'a [u8],
}

impl<'a> EventMessage<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let process = ProcessId(reader.u64()?);
        let pid = reader.u32()?;
        let claim = match reader.u8()? {
            0 => None,
            1 => Some(reader.digest()?),
            other => return Err(MessageError::Tag(other)),
        };
        let target_count = usize::from(reader.u8()?);
        let mut targets = [None; TARGETS_MAX];
        let named = targets.get_mut(..target_count).ok_or(MessageError::TooLong)?;
        for target in named {
            *target = read_target(reader)?;
        }
        let coe = tsem::decode_coe(reader.take(COE_SIZE)?).map_err(MessageError::Event)?;
        let cell = reader.rest();
        if cell.len() > CELL_MAX {
            return Err(MessageError::TooLong);
        }
        Ok(Self { process, pid, claim, coe, targets, target_count, cell })
    }

    /// Whom the event is about.
    pub fn targets(&self) -> &[Target] {
        &self.targets[..self.target_count]
    }

    /// The description that an engine judges.
    ///
    /// # Errors
    ///
    /// The CELL is no encoding: the sender is to blame.
    pub fn describe(&self) -> Result<Description, DecodeError> {
        Ok(Description {
            process: self.process,
            pid: self.pid,
            coe: self.coe,
            cell: tsem::decode_cell(self.cell)?,
            targets: self.targets().to_vec(),
        })
    }
}

fn read_target(reader: &mut Reader<'_>) -> Result<Target, MessageError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => Ok(Some(ProcessId(reader.u64()?))),
        other => Err(MessageError::Tag(other)),
    }
}

/// Appends an event; false, and nothing appended, if it has no encoding within the bounds.
pub(crate) fn write_event(event: &Description, claim: Option<Digest>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.u64(event.process.0);
    out.u32(event.pid);
    out.u8(u8::from(claim.is_some()));
    if let Some(claim) = claim {
        out.octets(&claim.0);
    }
    let encoded = write_targets(&event.targets, out) && {
        out.octets(&tsem::encode_coe(&event.coe));
        tsem::encode_cell(&event.cell, out).is_ok()
    };
    if !encoded {
        out.truncate(start);
    }
    encoded
}

pub(crate) fn write_targets(targets: &[Target], out: &mut Vec<u8>) -> bool {
    if targets.len() > TARGETS_MAX {
        return false;
    }
    out.u8(targets.len() as u8);
    for target in targets {
        out.u8(u8::from(target.is_some()));
        if let Some(process) = target {
            out.u64(process.0);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsem::EventKind;
    use tsem::FieldType;

    /// The most octets of a field, as `docs/spec/02-model.md` encodes it.
    fn longest(field: &FieldType) -> usize {
        let text = 2 + tsem::TEXT_MAX;
        let path = text + 4 + 1 + 32;
        match field {
            FieldType::Number32 | FieldType::Mode | FieldType::Flags(_) | FieldType::Choice(_) => 4,
            FieldType::Number64 | FieldType::Flags64(_) => 8,
            FieldType::Text => text,
            FieldType::Path => path,
            FieldType::File => path + 12 + 32,
            FieldType::OptionalFile => 1 + path + 12 + 32,
            FieldType::Socket => 12,
            FieldType::Address => 1 + path,
            FieldType::Task => 33,
            FieldType::Ipc => 20,
            FieldType::Digest => 32,
        }
    }

    #[test]
    fn the_bound_of_a_cell_is_that_of_the_longest_event() {
        let cell = |kind: &EventKind| {
            3 + kind.spec().fields.iter().map(|field| longest(&field.field_type)).sum::<usize>()
        };
        assert_eq!(EventKind::ALL.iter().map(cell).max(), Some(CELL_MAX));
        let tasks = |kind: &EventKind| {
            let fields = kind.spec().fields.iter();
            fields.filter(|field| matches!(field.field_type, FieldType::Task)).count()
        };
        assert!(EventKind::ALL.iter().map(tasks).max() <= Some(TARGETS_MAX));
    }
}
