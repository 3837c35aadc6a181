//! What an endpoint needs of an engine, and the engine of `core` as one.

use alloc::vec::Vec;

use tsem::CompactMemory;
use tsem::Counts;
use tsem::DecodeError;
use tsem::Digest;
use tsem::Effect;
use tsem::Engine;
use tsem::ExecOutcome;
use tsem::Judgement;
use tsem::Loss;
use tsem::Memory;
use tsem::ProcessId;
use tsem::TaskIdentity;
use tsem::WholeMemory;

use crate::event_message::EventMessage;
use crate::message::MessageError;
use crate::message::Table;
use crate::record;
use crate::wire::Reader;
use crate::wire::Write;

/// What an engine has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Order-independent value of all coefficients.
    pub state: Digest,
    /// Order-dependent value.
    pub measurement: Digest,
    /// What was counted.
    pub counts: Counts,
    /// Distinct good coefficients.
    pub good: u64,
}

/// An engine that an endpoint can host: `tsem::Engine`, with either of its memories.
/// The meaning of every method is that of `tsem::Engine`, and the conformance suite holds it to
/// that.
pub trait ModelEngine {
    /// Adds a good coefficient before the first event; false at the bound.
    fn load(&mut self, coefficient: Digest) -> bool;
    /// The namespace's first process is there.
    fn started(&mut self, process: ProcessId);
    /// `parent` made `child`.
    fn forked(&mut self, parent: ProcessId, child: ProcessId);
    /// A process is gone.
    fn exited(&mut self, process: ProcessId);
    /// An exec has happened, or has failed.
    fn exec_settled(&mut self, process: ProcessId, outcome: ExecOutcome);
    /// An allowed event has changed the file system.
    fn effect(&mut self, process: ProcessId, effect: &Effect<'_>);
    /// An event could not be described.
    fn lost(&mut self, loss: Loss);
    /// Decides an event.
    ///
    /// # Errors
    ///
    /// The event is no encoding; nothing was counted.
    fn judge(&mut self, event: &EventMessage<'_>) -> Result<Judgement, DecodeError>;
    /// The identity of a process by the engine's own record.
    fn identity(&self, process: ProcessId) -> Option<TaskIdentity>;
    /// What it has come to.
    fn summary(&self) -> Summary;
    /// Appends parts of rows as [`record::write_parts`] does, at most `room` octets; the number of
    /// rows that the table has. An engine that keeps no descriptions has no rows.
    fn page(
        &self,
        table: Table,
        row: u32,
        offset: u32,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Option<u32>;
}

impl<M: Rows> ModelEngine for Engine<M> {
    fn load(&mut self, coefficient: Digest) -> bool {
        Self::load(self, coefficient)
    }

    fn started(&mut self, process: ProcessId) {
        Self::started(self, process);
    }

    fn forked(&mut self, parent: ProcessId, child: ProcessId) {
        Self::forked(self, parent, child);
    }

    fn exited(&mut self, process: ProcessId) {
        Self::exited(self, process);
    }

    fn exec_settled(&mut self, process: ProcessId, outcome: ExecOutcome) {
        Self::exec_settled(self, process, outcome);
    }

    fn effect(&mut self, process: ProcessId, effect: &Effect<'_>) {
        Self::effect(self, process, effect);
    }

    fn lost(&mut self, loss: Loss) {
        Self::lost(self, loss);
    }

    fn judge(&mut self, event: &EventMessage<'_>) -> Result<Judgement, DecodeError> {
        Ok(Self::judge(self, &event.describe()?))
    }

    fn identity(&self, process: ProcessId) -> Option<TaskIdentity> {
        Self::identity(self, process)
    }

    fn summary(&self) -> Summary {
        Summary {
            state: self.state(),
            measurement: self.measurement(),
            counts: self.counts(),
            good: self.good() as u64,
        }
    }

    fn page(
        &self,
        table: Table,
        row: u32,
        offset: u32,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        M::page(self, table, (row, offset), room, out)
    }
}

/// A memory whose record can be asked for.
pub trait Rows: Memory + Sized {
    /// As [`ModelEngine::page`].
    fn page(
        engine: &Engine<Self>,
        table: Table,
        from: (u32, u32),
        room: usize,
        out: &mut Vec<u8>,
    ) -> Option<u32>;
}

impl Rows for WholeMemory {
    fn page(
        engine: &Engine,
        table: Table,
        from: (u32, u32),
        room: usize,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let observation = engine.observation();
        match table {
            Table::Coefficients => {
                let rows = engine.coefficients();
                record::write_parts(&rows, from, room, out, |row, out| out.octets(&row.0))
            }
            Table::Tasks => {
                record::write_parts(&observation.tasks, from, room, out, record::write_task)
            }
            Table::Events => {
                record::write_parts(&observation.events, from, room, out, record::write_event)
            }
            Table::Forensics => {
                record::write_parts(engine.forensics(), from, room, out, record::write_forensic)
            }
        }
    }
}

/// No descriptions, so no rows but coefficients.
impl Rows for CompactMemory {
    fn page(
        engine: &Engine<Self>,
        table: Table,
        from: (u32, u32),
        room: usize,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        match table {
            Table::Coefficients => {
                let rows = engine.memory().coefficients();
                let rows = rows.filter_map(|(coefficient, good)| good.then_some(coefficient));
                let write = |row: Digest, out: &mut Vec<u8>| out.octets(&row.0);
                record::write_parts_of(engine.good(), rows, from, room, out, write)
            }
            Table::Tasks | Table::Events | Table::Forensics => {
                record::write_parts(&[], from, room, out, |(): &(), _| {})
            }
        }
    }
}

impl Summary {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.octets(&self.state.0);
        out.octets(&self.measurement.0);
        let counts = &self.counts;
        for count in [
            counts.events,
            counts.violations,
            counts.denied,
            counts.dropped,
            counts.unreadable,
            counts.too_large,
            counts.forensics_dropped,
            counts.made_dropped,
            self.good,
        ] {
            out.u64(count);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(Self {
            state: reader.digest()?,
            measurement: reader.digest()?,
            counts: Counts {
                events: reader.u64()?,
                violations: reader.u64()?,
                denied: reader.u64()?,
                dropped: reader.u64()?,
                unreadable: reader.u64()?,
                too_large: reader.u64()?,
                forensics_dropped: reader.u64()?,
                made_dropped: reader.u64()?,
            },
            good: reader.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsem::Bounds;
    use tsem::Mode;
    use tsem::OnViolation;
    use tsem::Platform;
    use tsem::Rules;
    use tsem::Setup;

    fn coefficients<M: Rows>(model: &[Digest]) -> Vec<Digest> {
        let bounds = Bounds { coefficients: 100, made_octets: 64, ..Bounds::default() };
        let (rules, platform) = (Rules::default(), Platform::NONE);
        let setup = Setup {
            mode: Mode::Enforcing,
            on_violation: OnViolation::Untrust,
            rules,
            references: tsem::References::default(),
            platform,
            bounds,
        };
        let mut engine = Engine::<M>::empty(setup);
        assert!(model.iter().all(|coefficient| engine.load(*coefficient)));
        let (mut rows, mut found) = (record::Rows::from(0), Vec::new());
        while found.len() < model.len() {
            let mut parts = Vec::new();
            let (row, offset) = rows.next();
            let page =
                ModelEngine::page(&engine, Table::Coefficients, row, offset, 100, &mut parts);
            let total = page.expect("there is such a row");
            let keep = |row: &[u8]| record::read_coefficient(row).map(|row| found.push(row));
            rows.take(total, &parts, keep).expect("a page");
        }
        found
    }

    #[test]
    fn every_memory_gives_its_coefficients_in_pages() {
        let model: Vec<Digest> = (0..20).map(|number| Digest([number; 32])).collect();
        assert_eq!(coefficients::<WholeMemory>(&model), model);
        assert_eq!(coefficients::<CompactMemory>(&model), model);
    }
}
