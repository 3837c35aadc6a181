//! The generated part of the spec is up to date.

use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::Measurement;
use tsem::Platform;
use tsem::TaskIdentity;

#[path = "../../examples/event_table_doc.rs"]
#[allow(dead_code, reason = "its main is for the command line")]
mod event_table_doc;

#[test]
fn the_event_page_follows_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/01-events.md");
    let page = std::fs::read_to_string(path).unwrap();
    let start = page.find("## 4. The event table").expect("the page has its generated part");
    assert!(
        page[start..] == event_table_doc::generated(),
        "docs/spec/01-events.md is stale: replace all from section 4 with the output of \
         `cargo run -p tsem --example event_table_doc`"
    );
}

/// Everything that the worked example of `02-model.md` states, computed by this crate.
#[test]
fn the_worked_example_is_what_the_code_computes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/02-model.md");
    let page = std::fs::read_to_string(path).unwrap();
    let example = &page[page.find("## 8. A worked example").unwrap()..];
    let line = |name: &str| -> Cell {
        let mut lines = example.lines().map(str::trim);
        lines.find(|line| line.starts_with(name)).unwrap().parse().unwrap()
    };
    let (exec, open) = (line("bprm_committed_creds file="), line("file_open file="));
    let states = |what: &str, digest: Digest| {
        let label = format!("    {what:26} {digest}\n");
        assert!(example.contains(&label), "the example lacks: {label}");
    };
    let coe = tsem::coe_digest(&Coe::default());
    let digest = |cell: &Cell| tsem::cell_digest(cell, &mut Vec::new()).unwrap();
    let identity = TaskIdentity::INITIAL.exec(coe, digest(&exec));
    let first = tsem::coefficient(exec.kind, identity, coe, digest(&exec));
    let second = tsem::coefficient(open.kind, identity, coe, digest(&open));
    states("HF(COE)", coe);
    states("HF(CELL)", digest(&exec));
    states("HF(CELL)", digest(&open));
    states("TASK_ID", identity.task);
    states("coefficient", first);
    states("coefficient", second);
    let mut measurement = Measurement::new(&Platform::NONE);
    states("S0 = M0'", measurement.value());
    measurement.extend(first);
    measurement.extend(second);
    states("measurement", measurement.value());
    let mut sorted = [first, second];
    sorted.sort();
    states("state", tsem::state_of(&sorted, &Platform::NONE));
}
