//! What an agent says of itself in the handshake.

use alloc::string::String;
use alloc::vec::Vec;

use tsem::Bounds;

use crate::bound::AGENT_VERSION_MAX;
use crate::bound::MESSAGE_LEAST;
use crate::bound::MESSAGE_MAX;
use crate::message::MessageError;
use crate::wire::Reader;
use crate::wire::Write;

/// Where an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Locality {
    /// In the orchestrator itself.
    Orchestrator = 1,
    /// A process of its own.
    Process = 2,
    /// A virtual machine that holds nothing else.
    StubDomain = 3,
    /// A device on a wire.
    Microcontroller = 4,
    /// An enclave.
    Enclave = 5,
    /// The kernel.
    Kernel = 6,
}

impl Locality {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Orchestrator,
        Self::Process,
        Self::StubDomain,
        Self::Microcontroller,
        Self::Enclave,
        Self::Kernel,
    ];

    /// The word in attestations and docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Process => "process",
            Self::StubDomain => "stub-domain",
            Self::Microcontroller => "microcontroller",
            Self::Enclave => "enclave",
            Self::Kernel => "kernel",
        }
    }
}

/// The payload of the second message of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHello {
    /// Where it runs.
    pub locality: Locality,
    /// It has an orchestrator.
    pub provisioned: bool,
    /// Its longest message; between [`MESSAGE_LEAST`] and [`MESSAGE_MAX`].
    pub message_max: usize,
    /// How much it keeps.
    pub bounds: Bounds,
    /// Ed25519, the key of its attestations.
    pub signing: [u8; 32],
    /// Program and version.
    pub version: String,
}

impl AgentHello {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.u8(self.locality as u8);
        out.u8(u8::from(self.provisioned));
        out.u16(self.message_max as u16);
        for bound in bounds_in_order(self.bounds) {
            out.u32(u32::try_from(bound).unwrap_or(u32::MAX));
        }
        out.octets(&self.signing);
        let version = self.version.as_bytes();
        out.text(&version[..version.len().min(AGENT_VERSION_MAX)]);
    }

    pub(crate) fn read(octets: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader(octets);
        let locality = reader.u8()?;
        let known = Locality::ALL.into_iter().find(|known| *known as u8 == locality);
        let locality = known.ok_or(MessageError::Tag(locality))?;
        let provisioned = reader.u8()? != 0;
        let message_max = usize::from(reader.u16()?);
        if !(MESSAGE_LEAST..=MESSAGE_MAX).contains(&message_max) {
            return Err(MessageError::TooLong);
        }
        let mut bound = || reader.u32().map(|bound| bound as usize);
        let bounds = Bounds {
            coefficients: bound()?,
            forensics: bound()?,
            tasks: bound()?,
            processes: bound()?,
            pending: bound()?,
            made: bound()?,
            made_octets: bound()?,
            references: bound()?,
        };
        let signing = reader.array()?;
        let version = printable(reader.text(AGENT_VERSION_MAX)?);
        reader.end()?;
        Ok(Self { locality, provisioned, message_max, bounds, signing, version })
    }
}

fn bounds_in_order(bounds: Bounds) -> [usize; 8] {
    let Bounds {
        coefficients,
        forensics,
        tasks,
        processes,
        pending,
        made,
        made_octets,
        references,
    } = bounds;
    [coefficients, forensics, tasks, processes, pending, made, made_octets, references]
}

/// An agent's own word about itself is shown to people: it cannot hold anything else than text.
fn printable(octets: &[u8]) -> String {
    let shown = |octet: &u8| match octet {
        b' '..=b'~' => char::from(*octet),
        _ => '?',
    };
    octets.iter().map(shown).collect()
}
