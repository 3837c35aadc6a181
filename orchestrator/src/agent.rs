//! What the orchestrator needs of a trusted modeling agent, wherever it runs.

use thiserror::Error;
use tma_protocol::Failure;
use tma_protocol::MessageError;
use tma_protocol::SessionError;
use tsem::Counts;
use tsem::Description;
use tsem::Digest;
use tsem::Forensic;
use tsem::Loss;
use tsem::Observation;
use tsem::TaskIdentity;

/// An agent that decides for a namespace and keeps its record.
pub trait NamespaceAgent: tsem::Agent {
    /// The record as it is now.
    ///
    /// # Errors
    ///
    /// The agent cannot be asked any more.
    fn snapshot(&self) -> Result<Snapshot, AgentError>;

    /// A signed statement of what the agent is and has seen, for a challenge.
    ///
    /// # Errors
    ///
    /// The agent has no key, or cannot be asked any more.
    fn attest(&self, nonce: &[u8]) -> Result<Attested, AgentError>;

    /// Whether [`NamespaceAgent::replace_model`] would take this model now; changes nothing.
    ///
    /// # Errors
    ///
    /// It would not.
    fn may_replace_model(&self, coefficients: &[Digest]) -> Result<(), AgentError>;

    /// Puts a model of the same rules in force instead of the one that is, all of it or nothing.
    ///
    /// # Errors
    ///
    /// The agent is not in the orchestrator, or has no room.
    fn replace_model(&self, coefficients: &[Digest]) -> Result<(), AgentError>;

    /// The namespace has ended and its record has been taken: nothing more is asked.
    fn close(&self);

    /// Why nothing is allowed any more, if that is so.
    fn fault(&self) -> Option<AgentError>;

    /// Events denied because the agent could not be asked.
    fn unasked(&self) -> u64;
}

/// What an agent holds.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Order-independent value.
    pub state: Digest,
    /// Order-dependent value.
    pub measurement: Digest,
    /// What was counted.
    pub counts: Counts,
    /// The trajectory.
    pub observation: Observation,
    /// Events outside the model.
    pub forensics: Vec<Forensic>,
    /// Good coefficients, sorted.
    pub coefficients: Vec<Digest>,
    /// Events that a verdict cache answered; the agent has not seen or counted them.
    pub cached: u64,
}

/// A signed statement, and the key that it must be verified with.
#[derive(Clone, Debug)]
pub struct Attested {
    /// `COSE_Sign1`.
    pub statement: Vec<u8>,
    /// Ed25519, as it is pinned.
    pub key: [u8; 32],
}

/// An agent cannot be reached, or can no longer be believed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// It is where no key can be kept from the orchestrator.
    #[error(
        "the agent runs in the orchestrator and has no key of its own to attest with; run the \
         workload with --tma process"
    )]
    NoKey,
    /// It was given its model for the whole run.
    #[error(
        "an agent outside the orchestrator keeps the model that it was started with; restart the \
         workload with the new one"
    )]
    KeepsItsModel,
    /// The wire.
    #[error("the wire to the agent failed: {0}")]
    Wire(std::io::ErrorKind),
    /// It ended, or whoever carries the wire did.
    #[error("the agent has gone")]
    Gone,
    /// It did not answer in time.
    #[error("the agent did not answer within {0} seconds")]
    Silent(u64),
    /// The session.
    #[error("the session with the agent broke ({0:?})")]
    Session(SessionError),
    /// What it sent is no message.
    #[error("the agent sent what is no answer ({0:?})")]
    Message(MessageError),
    /// An answer to something else than was asked.
    #[error("the agent answered what was not asked")]
    Unasked,
    /// Rows that do not fit one another.
    #[error("the agent's record does not fit together")]
    Record,
    /// It refused.
    #[error("the agent refused: {}", refusal(*.0))]
    Refused(Failure),
    /// It says that it has another model than it was given.
    #[error("the agent computed another header digest or state than the model's")]
    OtherModel,
    /// More contents that packages vouch for than it keeps.
    #[error(
        "the packages that the model names have {files} files, and the agent has room for {room}; \
         run it where there is more, or carry a model of digests over with 'quixote model rebase'"
    )]
    TooManyReferences {
        /// How many there are.
        files: usize,
        /// How many it keeps.
        room: usize,
    },
    /// A model whose header it cannot hold.
    #[error("the model does not fit the agent: it has room for {0} coefficients")]
    TooLarge(usize),
}

impl From<SessionError> for AgentError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<MessageError> for AgentError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

/// A failure in words, and what to do.
fn refusal(failure: Failure) -> &'static str {
    match failure {
        Failure::NotProvisioned => {
            "it belongs to nobody yet; provision it with: quixote provision --tma TMA"
        }
        Failure::AlreadyProvisioned => "it belongs to an orchestrator already",
        Failure::NotPinned => "it belongs to another orchestrator",
        Failure::Phase => "it is in another phase; another orchestrator may be using it",
        Failure::Header => "the model's header is none, or has rules that it does not know",
        Failure::TooMuch => "the model is more than it can keep",
        Failure::Coefficients => "the coefficients are not sorted, or not as many as was said",
        Failure::Unsigned => {
            "it enforces only models that a pinned key signed, and this one is not; sign it with: \
             quixote model sign"
        }
        Failure::Signature => "no key that it has pinned signed the model",
        Failure::OtherModel => "what was signed is another model",
        Failure::NotKept => "it could not keep whom to trust",
        Failure::Identity => "a process is not what it was said to be",
        Failure::Row => "it has no such row",
        Failure::References => "the references are not sorted, or not as many as was said",
        _ => "for a reason that this version does not know",
    }
}

/// Who watches a namespace. Called from the threads that serve it: be brief, never block.
pub trait Observer: Send + Sync {
    /// An event was judged; `first` if this run has not shown it before.
    fn judged(&self, event: &Description, first: bool);

    /// An event outside the model, for the first time. `chain` names the programs that led to it,
    /// `acting` is the identity of the process that tried.
    fn violation(&self, forensic: &Forensic, chain: &[String], acting: TaskIdentity);

    /// An event could not be judged.
    fn lost(&self, loss: Loss);

    /// The agent is lost, and from now on everything is denied. Told once.
    fn agent_lost(&self, error: &AgentError);
}

/// An observer that looks away.
#[derive(Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn judged(&self, _: &Description, _: bool) {}
    fn violation(&self, _: &Forensic, _: &[String], _: TaskIdentity) {}
    fn lost(&self, _: Loss) {}
    fn agent_lost(&self, _: &AgentError) {}
}
