//! What is said of an event outside the model: who, what, what is allowed nearest, what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use orchestrator::model_file::model::ModelFile;
use orchestrator::model_file::review::nearest::Near;
use orchestrator::model_file::review::nearest::Nearness;
use orchestrator::model_file::review::nearest::nearest;
use orchestrator::reference_table::ReferenceTable;
use orchestrator::replacement::Force;
use orchestrator::replacement::InForce;
use tsem::Cell;
use tsem::Digest;
use tsem::EventKind;
use tsem::File;
use tsem::Forensic;
use tsem::FormedEvent;
use tsem::Reason;
use tsem::TaskIdentity;
use tsem::Value;

use super::watch::Violation;
use crate::output;
use crate::output::BAD;
use crate::output::CAUTION;

/// So many digits of a coefficient name it on the command line.
const SHORT: usize = 12;
/// So many near events are told.
const NEAR_MAX: usize = 2;

/// Tells violations against the model in force.
pub(crate) struct Denial {
    in_force: Arc<InForce>,
    force: Force,
    references: Arc<ReferenceTable>,
    /// Paths that the model names by package.
    by_package: BTreeSet<Vec<u8>>,
}

impl Denial {
    /// Violations against the model in force, on a machine with these references.
    pub(crate) fn new(in_force: Arc<InForce>, references: Arc<ReferenceTable>) -> Self {
        let force = in_force.now();
        let by_package = by_package(&force.model);
        Self { in_force, force, references, by_package }
    }

    /// Goes on with the model that is in force now.
    fn renew(&mut self) {
        let now = self.in_force.now();
        if !Arc::ptr_eq(&now.model, &self.force.model) {
            self.by_package = by_package(&now.model);
            self.force = now;
        }
    }

    /// The message for one violation in the namespace of this name.
    pub(crate) fn tell(&mut self, name: &str, violation: &Violation) -> String {
        self.renew();
        let Violation { forensic, chain, .. } = violation;
        let (style, word) =
            if forensic.denied { (BAD, "denied") } else { (CAUTION, "outside the model") };
        let head = output::styled_for_stderr(style, &format!("quixote: {word}"));
        let mut text = format!("{head} {}\n", forensic.event.observed.cell);
        let _ = writeln!(text, "  by      {}", chain_words(chain));
        match forensic.reason {
            Reason::Untrusted => {
                text += "  because the process is untrusted since its first violation\n";
            }
            Reason::NotInModel => {
                text += &self.not_vouched(&forensic.event.observed.cell);
                text += &self.nearest(violation);
            }
        }
        let coefficient = &forensic.coefficient.to_hex()[..SHORT];
        let path = self.force.path.display();
        let _ = writeln!(text, "  accept  quixote accept {name} --only {coefficient} -o {path}");
        text
    }
}

impl Denial {
    /// Why files that the model names by package are not what a package vouches for.
    fn not_vouched(&self, cell: &Cell) -> String {
        let mut text = String::new();
        for file in cell.values.iter().filter_map(file_of) {
            let named = self.by_package.contains(&file.place.path) && file.reference.is_zero();
            let why = self.references.why(file).or_else(|| {
                named.then(|| "no signed package that is at hand has this file".to_owned())
            });
            if let Some(why) = why {
                let path = String::from_utf8_lossy(&file.place.path);
                let why = format!("{path} is not vouched for: {why}");
                let _ = writeln!(text, "  because {}", output::printable(&why));
            }
        }
        text
    }

    /// What the model does allow that is like it.
    fn nearest(&self, violation: &Violation) -> String {
        let mut event = attempted(&violation.forensic, violation.acting);
        for value in &mut event.cell.values {
            if let Value::File(file) = value {
                self.force.model.rules().settle_content(file);
            }
        }
        let found = nearest(&self.force.model, &event);
        if found.is_empty() {
            return format!(
                "  allowed nothing like it: no {} in the model\n",
                event.cell.kind.name()
            );
        }
        found.iter().take(NEAR_MAX).map(near_words).collect()
    }
}

fn by_package(model: &ModelFile) -> BTreeSet<Vec<u8>> {
    let cells = model.described().map(|(_, described)| &described.cell);
    let files = cells.flat_map(|cell| &cell.values).filter_map(file_of);
    let named = files.filter(|file| !file.reference.is_zero());
    named.map(|file| file.place.path.clone()).collect()
}

/// A near event, for people.
pub(crate) fn near_words(near: &Near) -> String {
    let who = match near.nearness {
        Nearness::OtherCredentials => "the same program, with other credentials, may",
        Nearness::OtherObject => "the same program may",
        Nearness::OtherChain => "the same program, started in another way, may",
        Nearness::OtherProgram => "another program may",
    };
    let mut text = format!("  allowed {who} {}\n", output::printable(&near.may));
    if matches!(near.nearness, Nearness::OtherChain | Nearness::OtherProgram) {
        let _ = writeln!(text, "          {}", output::printable(&near.program));
    }
    if !near.differs_in.is_empty() {
        let _ = writeln!(
            text,
            "          differs in {}",
            output::printable(&near.differs_in.join(", "))
        );
    }
    text
}

fn file_of(value: &Value) -> Option<&File> {
    match value {
        Value::File(file) => Some(file),
        _ => None,
    }
}

/// The event as it is compared. An exec is known by who tried it, so that its own identity, which
/// it would get under rules that are not at hand here, is left out.
fn attempted(forensic: &Forensic, acting: TaskIdentity) -> FormedEvent {
    let observed = &forensic.event.observed;
    let identity = match observed.cell.kind {
        EventKind::BprmCommittedCreds => TaskIdentity { task: Digest::ZERO, parent: acting.task },
        _ => acting,
    };
    let (coe, cell) = (observed.coe, observed.cell.clone());
    FormedEvent { coefficient: forensic.coefficient, identity, coe, cell }
}

/// The programs that led to an event, first to last.
pub(crate) fn chain_words(chain: &[String]) -> String {
    if chain.is_empty() {
        return "the namespace's first process, before its first exec".into();
    }
    output::printable(&chain.join(" > "))
}
