//! Models that are replaced while their namespace runs.

use std::fs;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use orchestrator::model_file::format::Descriptions;
use orchestrator::model_file::header::Header;
use orchestrator::model_file::header::Workload;
use orchestrator::model_file::header::add_rule;
use orchestrator::model_file::model::ModelFile;
use serde_json::Value as Json;
use tsem::Digest;
use tsem::Value;

use crate::attestations::agent_is_built;
use crate::sandbox::Sandbox;
use crate::sandbox::Told;

/// Longer than a machine under load needs for a step of the workload.
const LIMIT: Duration = Duration::from_secs(120);

/// Each step tries to read `a` and `b`, and says which it could.
const SCRIPT: &str = "\
echo > ready
for step in 1 2 3; do
    until [ -e go$step ]; do :; done
    could=
    if read x < a; then could=\"$could a\"; fi
    if read x < b; then could=\"$could b\"; fi
    echo \"$step$could\" > could
done";

/// The serial of the model that the workload is started with.
const SERIAL: u64 = 5;

/// A sandbox with keys, and with `all.model`: what the workload does where it may read both.
fn learned() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "go1", "go2", "go3"] {
        sandbox.write(name, "text\n");
    }
    let learn = ["learn", "-o", "all.model", "--accept-rules", "none", "--quiet", "--name", "web"];
    sandbox.good(&[&learn[..], &["--", "/bin/sh", "-c", SCRIPT]].concat());
    assert_eq!(sandbox.read("could"), "3 a b\n");
    for name in ["ready", "go1", "go2", "go3", "could"] {
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    sandbox.good(&["model", "keygen", "-o", "me.key"]);
    sandbox
}

/// What a model has otherwise in its header.
type Change = fn(&mut Header);

/// Writes `all.model` with this serial as `name`, without the reading of `lacks`; not signed.
fn write(sandbox: &Sandbox, name: &str, serial: u64, lacks: &str, change: Change) {
    let text = ModelFile::read_text(&sandbox.path("all.model")).unwrap();
    let mut model = ModelFile::parse(&text).unwrap();
    let end = format!("/work/{lacks}");
    let of_it =
        |value: &Value| value.place().is_some_and(|place| place.path.ends_with(end.as_bytes()));
    let reads = model.described().filter(|(_, event)| event.cell.values.iter().any(of_it));
    let reads: Vec<Digest> = reads.map(|(coefficient, _)| *coefficient).collect();
    assert_eq!(reads.len(), 1, "one reading of {lacks}");
    assert!(model.remove(&reads[0]));
    model.header_mut().serial = serial;
    change(model.header_mut());
    model.write(&sandbox.path(name), Descriptions::Keep).unwrap();
}

fn sign(sandbox: &Sandbox, name: &str) {
    sandbox.good(&["model", "sign", "--key", "me.key", name]);
}

/// A namespace that runs until it is dropped.
struct Run {
    sandbox: Sandbox,
    quixote: Child,
}

impl Drop for Run {
    fn drop(&mut self) {
        for name in ["go1", "go2", "go3"] {
            self.sandbox.write(name, "");
        }
        let _ = self.quixote.wait();
    }
}

impl Run {
    /// Starts the workload under `first.model`.
    fn start(sandbox: Sandbox, command: &[&str]) -> Self {
        let line = [command, &["--name", "web", "first.model", "--", "/bin/sh", "-c", SCRIPT]];
        let told = fs::File::create(sandbox.path("told")).unwrap();
        let mut command = sandbox.command(&line.concat());
        let quixote = command.stdout(Stdio::null()).stderr(told).spawn().unwrap();
        let run = Self { sandbox, quixote };
        run.wait_for("ready", "\n");
        run
    }

    /// Under a signed model that lacks `b`.
    fn signed(command: &[&str]) -> Self {
        let sandbox = learned();
        write(&sandbox, "first.model", SERIAL, "b", |_| {});
        sign(&sandbox, "first.model");
        Self::start(sandbox, command)
    }

    /// Waits until a file has this text.
    fn wait_for(&self, name: &str, text: &str) {
        let end = Instant::now() + LIMIT;
        while !fs::read_to_string(self.sandbox.path(name)).is_ok_and(|found| found.contains(text)) {
            assert!(
                Instant::now() < end,
                "{name} never had {text:?}: {}",
                self.sandbox.read("told")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes a step: what the workload could read.
    fn step(&self, number: u32) -> String {
        self.sandbox.write(&format!("go{number}"), "");
        self.wait_for("could", &number.to_string());
        self.wait_for("could", "\n");
        self.sandbox.read("could").trim_end()[1..].to_owned()
    }

    fn replace(&self, model: &str) -> Told {
        self.sandbox.quixote(&["replace", "web", model, "--json"])
    }

    fn show(&self, aspect: &str) -> Json {
        serde_json::from_str(&self.sandbox.good(&["show", "web", aspect, "--json"])).unwrap()
    }

    /// What a refusal must not change.
    fn everything(&self) -> (Json, Json, Json, Vec<(String, String)>) {
        let serials = fs::read_dir(self.sandbox.path("../state/serials"));
        let serials = serials.into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut serials: Vec<_> = serials
            .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
            .collect();
        serials.sort();
        (self.show("model"), self.show("coefficients"), self.show("state"), serials)
    }

    /// A model that is refused with these words changes nothing.
    fn refuses(&self, model: &str, words: &str) {
        let before = self.everything();
        let told = self.replace(model);
        assert_eq!(told.status, 125, "{model}: {}", told.stdout);
        assert!(told.stderr.contains(words), "{model}: {}", told.stderr);
        assert!(told.stdout.is_empty(), "{model}: {}", told.stdout);
        assert_eq!(self.everything(), before, "{model}");
    }

    /// Lets the workload come to its end, and gives what was told of it.
    fn end(mut self) -> (Sandbox, String) {
        for number in 1..=3 {
            self.sandbox.write(&format!("go{number}"), "");
        }
        self.quixote.wait().unwrap();
        let told = self.sandbox.read("told");
        (std::mem::replace(&mut self.sandbox, Sandbox::new()), told)
    }
}

#[test]
fn run_a_newer_model_allows_what_it_has_and_denies_what_it_lacks() {
    let run = Run::signed(&["enforce", "--on-violation", "deny"]);
    write(&run.sandbox, "second.model", SERIAL + 2, "a", |_| {});
    sign(&run.sandbox, "second.model");
    assert_eq!(run.step(1), " a");
    let told = run.replace("second.model");
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert_eq!(run.step(2), " b");

    let replaced = told.json();
    let text = ModelFile::read_text(&run.sandbox.path("second.model")).unwrap();
    let second = ModelFile::parse(&text).unwrap();
    let expected = serde_json::json!({
        "name": "web", "serial_before": SERIAL, "serial": SERIAL + 2, "added": 1, "removed": 1,
        "coefficients": second.len(), "state": second.state().to_hex(),
    });
    assert_eq!(replaced, expected);
    let good: Vec<String> = second.coefficients().map(|each| each.to_hex()).collect();
    assert_eq!(run.show("coefficients"), serde_json::json!(good));

    // The one from before is an older one now, here and at a start.
    run.refuses("first.model", "serial 5, but 7 was accepted");
    let again = run.sandbox.quixote(&["enforce", "--name", "x", "first.model", "--", "true"]);
    assert!(again.stderr.contains("serial 5, but 7 was accepted"), "{}", again.stderr);
    the_record_says_so(run, second.len());
}

/// Which model is in force, what was denied under which, and that there were two.
fn the_record_says_so(run: Run, coefficients: usize) {
    let shown = run.show("model");
    let path = run.sandbox.path("second.model").display().to_string();
    assert_eq!(shown["model"], path);
    assert_eq!(shown["replaced"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["replaced"][0]["serial"], SERIAL + 2);
    assert_eq!(shown["replaced"][0]["coefficients"], coefficients);
    assert!(shown["replaced"][0]["when"].as_u64() > Some(1_700_000_000), "{shown}");
    let forensics = run.show("forensics");
    let path_of = |row: usize| forensics[row]["event"].as_str().unwrap();
    assert!(path_of(0).contains("/work/b{") && path_of(1).contains("/work/a{"), "{forensics}");
    assert_eq!((&forensics[0]["held"], &forensics[1]["held"]), (&true.into(), &false.into()));

    let (sandbox, told) = run.end();
    let (before, after) = told.split_once("/work/a{").expect(&told);
    assert!(before.contains("accept web --only") && before.contains("-o first.model"), "{told}");
    assert!(
        after.contains(&format!("-o {path}")),
        "denials are told by the model in force: {told}"
    );
    assert!(told.contains("note: the model was replaced "), "{told}");
    let ended = sandbox.good(&["show", "web", "model"]);
    assert!(ended.contains(&path) && ended.contains("by serial 7, of "), "{ended}");
}

#[test]
fn run_what_may_not_replace_a_model_changes_nothing() {
    let run = Run::signed(&["enforce", "--on-violation", "deny", "--allow-unsigned"]);
    let sandbox = &run.sandbox;
    let workload: Change = |header| header.workload = Workload::parse("other").unwrap();
    let rule: Change = |header| add_rule(&mut header.rules, "name /srv/{digits} any").unwrap();
    let nonce: Change = |header| header.platform.base = Digest([1; 32]);
    let unchanged: Change = |_| {};
    for (name, serial, change) in [
        ("older.model", SERIAL - 1, unchanged),
        ("equal.model", SERIAL, unchanged),
        ("workload.model", SERIAL + 1, workload),
        ("rules.model", SERIAL + 1, rule),
        ("nonce.model", SERIAL + 1, nonce),
        ("damaged.model", SERIAL + 1, unchanged),
        ("cut.model", SERIAL + 1, unchanged),
        ("signature.model", SERIAL + 1, unchanged),
        ("good.model", SERIAL + 1, unchanged),
    ] {
        write(sandbox, name, serial, "a", change);
        sign(sandbox, name);
    }
    write(sandbox, "unsigned.model", SERIAL + 1, "a", |_| {});
    write(sandbox, "stranger.model", SERIAL + 1, "a", |_| {});
    sandbox.good(&["model", "keygen", "-o", "stranger.key", "--no-pin"]);
    sandbox.good(&["model", "sign", "--key", "stranger.key", "stranger.model"]);
    let text = sandbox.read("damaged.model");
    sandbox.write("damaged.model", &text.replace("/work/b{", "/work/c{"));
    sandbox.write("cut.model", &text[..text.len() / 2]);
    sandbox.write("signature.model.sig", &sandbox.read("good.model.sig")[..40]);

    run.refuses("older.model", "serial 4, but 5 was accepted");
    run.refuses("equal.model", "the model has serial 5, and 5 is in force");
    run.refuses("unsigned.model", "a signed model is in force");
    run.refuses("stranger.model", "no pinned key");
    run.refuses("rules.model", "restart the workload");
    run.refuses("nonce.model", "another nonce");
    run.refuses("workload.model", "is of other, and the namespace runs under one of web");
    run.refuses("damaged.model", "the model was not replaced");
    run.refuses("cut.model", "the model was not replaced");
    run.refuses("signature.model", "the model was not replaced");
    run.refuses("none.model", "none.model");
    assert_eq!(run.step(1), " a");
    // Nothing else stood in the way.
    assert_eq!(run.replace("good.model").status, 0);
    assert_eq!(run.step(2), " b");
}

#[test]
fn run_an_unsigned_model_replaces_an_unsigned_one_where_that_was_asked_for() {
    let sandbox = learned();
    write(&sandbox, "first.model", SERIAL, "b", |_| {});
    write(&sandbox, "second.model", SERIAL + 1, "a", |_| {});
    write(&sandbox, "third.model", SERIAL + 2, "b", |_| {});
    write(&sandbox, "fourth.model", SERIAL + 3, "a", |_| {});
    let run = Run::start(sandbox, &["enforce", "--on-violation", "deny", "--allow-unsigned"]);
    assert_eq!(run.step(1), " a");
    assert_eq!(run.replace("second.model").status, 0);
    assert_eq!(run.step(2), " b");
    // Once a signed one is in force, no other follows it.
    sign(&run.sandbox, "third.model");
    assert_eq!(run.replace("third.model").status, 0);
    run.refuses("fourth.model", "a signed model is in force");
    assert_eq!(run.step(3), " a");
}

#[test]
fn run_without_leave_an_unsigned_model_replaces_none() {
    let run = Run::signed(&["enforce", "--on-violation", "deny"]);
    write(&run.sandbox, "second.model", SERIAL + 1, "a", |_| {});
    run.refuses("second.model", "the model is not signed");
    assert_eq!(run.step(1), " a");
}

#[test]
fn run_a_process_that_is_untrusted_stays_so_under_a_newer_model() {
    let run = Run::signed(&["enforce"]);
    write(&run.sandbox, "second.model", SERIAL + 1, "a", |_| {});
    sign(&run.sandbox, "second.model");
    run.sandbox.write("go1", "");
    // Its first violation is `b`; it cannot even say what it could.
    run.wait_for("told", "/could");
    assert_eq!(run.replace("second.model").status, 0);
    run.sandbox.write("go2", "");
    let end = Instant::now() + LIMIT;
    let first_of_two = loop {
        let first = run.show("forensics")[0].clone();
        if first["count"] == 2 || Instant::now() > end {
            break first;
        }
    };
    assert_eq!(first_of_two["held"], true, "the model has it by now: {first_of_two}");
    assert_eq!(first_of_two["count"], 2, "and it was denied again: {first_of_two}");
    assert!(first_of_two.to_string().contains("/work/b{"), "{first_of_two}");
    assert!(!run.sandbox.path("could").exists());
}

#[test]
fn run_a_monitored_namespace_has_its_model_replaced() {
    let run = Run::signed(&["monitor"]);
    write(&run.sandbox, "second.model", SERIAL + 1, "a", |_| {});
    sign(&run.sandbox, "second.model");
    assert_eq!(run.replace("second.model").status, 0);
    assert_eq!(run.step(1), " a b");
    let forensics = run.show("forensics");
    assert_eq!(forensics.as_array().unwrap().len(), 1, "{forensics}");
    let event = forensics[0]["event"].as_str().unwrap();
    assert!(event.contains("/work/a{"), "{event}");
}

#[test]
fn run_an_agent_outside_the_orchestrator_keeps_its_model() {
    agent_is_built();
    let run = Run::signed(&["enforce", "--on-violation", "deny", "--tma", "process"]);
    write(&run.sandbox, "second.model", SERIAL + 1, "a", |_| {});
    sign(&run.sandbox, "second.model");
    run.refuses("second.model", "an agent outside the orchestrator keeps the model");
    assert_eq!(run.step(1), " a");
}

#[test]
fn run_only_a_model_that_is_in_force_is_replaced() {
    let sandbox = learned();
    let told = sandbox.quixote(&["replace", "web", "all.model"]);
    assert_eq!(told.status, 125);
    assert!(told.stderr.contains("no namespace named web runs"), "{}", told.stderr);
    let told = sandbox.quixote(&["replace", "../web", "all.model"]);
    assert!(told.stderr.contains("is no name for a namespace"), "{}", told.stderr);

    let learn = ["learn", "-o", "new.model", "--quiet", "--name", "web", "--", "/bin/sh", "-c"];
    let mut command = sandbox.command(&[&learn[..], &[SCRIPT]].concat());
    let quixote = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = Run { sandbox, quixote };
    run.wait_for("ready", "\n");
    let told = run.replace("all.model");
    assert_eq!(told.status, 125);
    assert!(told.stderr.contains("web does not run under a model"), "{}", told.stderr);
}
