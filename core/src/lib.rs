//! Trusted Security Event Modeling: what a security event is, what it is hashed to, and whether it
//! belongs to a workload's model.
//!
//! The crate knows no operating system: it does no I/O, has no clock and no threads. A source
//! hands it descriptions of events; it answers with a verdict. `docs/spec/01-events.md` and
//! `docs/spec/02-model.md` say the same in words.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod canonical;
mod coefficient_set;
mod decode;
mod digest;
mod encode;
mod engine;
mod event;
mod event_table;
mod identity;
#[cfg(feature = "json")]
mod json;
mod made;
mod memory;
pub mod names;
mod observation;
mod pattern;
mod reference;
mod rule_text;
mod rules;
mod state;
mod text;
mod value;
mod verdict;

pub use canonical::canonicalise;
pub use canonical::is_hashed_as_described;
pub use canonical::is_hashed_without_rules;
pub use decode::DecodeError;
pub use decode::decode_cell;
pub use decode::decode_coe;
pub use digest::Digest;
pub use encode::COE_SIZE;
pub use encode::ENCODING_VERSION;
pub use encode::ENCODING_VERSION_REFERENCE;
pub use encode::EncodeError;
pub use encode::OTHER_ADDRESS_MAX;
pub use encode::cell_digest;
pub use encode::coe_digest;
pub use encode::encode_cell;
pub use encode::encode_coe;
pub use engine::Bounds;
pub use engine::Counts;
pub use engine::Engine;
pub use engine::Forensic;
pub use engine::Judgement;
pub use engine::Mode;
pub use engine::OnViolation;
pub use engine::Reason;
pub use engine::Setup;
pub use event::Cell;
pub use event::Coe;
pub use event::Description;
pub use event::Effect;
pub use event::ExecOutcome;
pub use event::Loss;
pub use event::ProcessId;
pub use event_table::EventKind;
pub use event_table::EventSpec;
pub use event_table::FieldSpec;
pub use event_table::FieldType;
pub use event_table::Profile;
pub use identity::NULL_ID;
pub use identity::TaskIdentity;
pub use identity::coefficient;
pub use identity::event_digest;
#[cfg(feature = "json")]
pub use json::JsonError;
#[cfg(feature = "json")]
pub use json::JsonProblem;
#[cfg(feature = "json")]
pub use json::cell_from_json;
#[cfg(feature = "json")]
pub use json::cell_to_json;
#[cfg(feature = "json")]
pub use json::coe_from_json;
#[cfg(feature = "json")]
pub use json::coe_to_json;
pub use made::Makers;
pub use memory::CompactMemory;
pub use memory::Forensics;
pub use memory::Full;
pub use memory::GoodEvent;
pub use memory::Known;
pub use memory::Memory;
pub use memory::PendingExec;
pub use memory::ProcessStatus;
pub use memory::Violation;
pub use memory::WholeMemory;
pub use observation::FormedEvent;
pub use observation::Observation;
pub use observation::ObservedCell;
pub use observation::ObservedEvent;
pub use observation::ObservedTask;
pub use observation::TaskIndex;
pub use pattern::Class;
pub use pattern::Pattern;
pub use pattern::PatternError;
pub use pattern::Token;
pub use reference::ExpiredKeys;
pub use reference::REFERENCE_WORD_MAX;
pub use reference::ReferenceRule;
pub use reference::ReferenceRuleError;
pub use reference::References;
pub use reference::ReferencesFull;
pub use reference::SIGNERS_MAX;
pub use reference::Vouched;
pub use rule_text::RuleError;
pub use rules::AddressRule;
pub use rules::EPHEMERAL_DEFAULT;
pub use rules::Maker;
pub use rules::NameRule;
pub use rules::Rules;
pub use state::Measurement;
pub use state::Platform;
pub use state::state_of;
pub use text::ParseError;
pub use text::ParseProblem;
pub use value::Address;
pub use value::File;
pub use value::Ipc;
pub use value::Place;
pub use value::Port;
pub use value::Socket;
pub use value::Target;
pub use value::Value;
pub use verdict::Agent;
pub use verdict::Verdict;

/// The longest path or text that an event can carry, in octets (`PATH_MAX` without the NUL).
pub const TEXT_MAX: usize = 4095;
