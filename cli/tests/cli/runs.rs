//! Workloads, learned, monitored and enforced.

use std::fs;
use std::io::Read;
use std::io::Write;

use crate::sandbox::Sandbox;

/// Reads one file and writes another.
const COPY: [&str; 4] = ["--", "cp", "in", "out"];

/// A sandbox with a model of `cp in out`.
fn learned() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("in", "text\n");
    let learn = ["learn", "-o", "cp.model", "--accept-rules", "none", "--json"];
    let told = sandbox.quixote(&[&learn[..], &COPY].concat());
    assert_eq!(told.status, 0, "{}", told.stderr);
    fs::remove_file(sandbox.path("out")).unwrap();
    sandbox
}

fn enforce(sandbox: &Sandbox, options: &[&str], command: &[&str]) -> crate::sandbox::Told {
    let start = ["enforce", "cp.model", "--allow-unsigned"];
    sandbox.quixote(&[&start[..], options, &["--"], command].concat())
}

#[test]
fn run_what_was_learned_runs_enforced() {
    let sandbox = learned();
    let told = enforce(&sandbox, &["--json"], &["cp", "in", "out"]);
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert_eq!(sandbox.read("out"), "text\n");
    let summary = told.json();
    assert_eq!(summary["mode"], "enforcing");
    assert_eq!(summary["counts"]["violations"], 0, "{summary}");
    assert_eq!(summary["counts"]["losses"], 0, "{summary}");
    assert_eq!(summary["state"].as_str().unwrap().len(), 64);
    assert_eq!(summary["exit"]["code"], 0);
}

#[test]
fn run_what_was_not_learned_is_denied_and_told() {
    let sandbox = learned();
    sandbox.write("other", "secret\n");
    let told = enforce(&sandbox, &[], &["cp", "other", "out"]);
    assert_eq!(told.status, 1, "cp's own status; {}", told.stderr);
    assert!(!sandbox.path("out").exists());
    for part in [
        "quixote: denied",
        "/other",
        "  by ",
        "/cp",
        "  allowed ",
        "  accept ",
        "show cp forensics",
    ] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
    let forensics = sandbox.good(&["show", "cp", "forensics", "--json"]);
    let forensics: serde_json::Value = serde_json::from_str(&forensics).unwrap();
    assert_eq!(forensics[0]["number"], 1);
    assert_eq!(forensics[0]["denied"], true);
    assert_eq!(forensics[0]["held"], false);
    assert_eq!(forensics[0]["nearest"][0]["nearness"], "other-object", "{forensics}");
    let text = sandbox.good(&["show", "cp", "forensics"]);
    assert!(text.contains("allowed the same program may read "), "{text}");
    let accept = format!("accept cp --only N... -o {}", sandbox.path("cp.model").display());
    assert!(text.contains(&accept), "{text}");
}

#[test]
fn run_a_command_that_is_outside_the_model_does_not_start() {
    let sandbox = learned();
    let told = enforce(&sandbox, &["--json"], &["touch", "out"]);
    assert_eq!(told.status, 126, "{}", told.stderr);
    assert!(!sandbox.path("out").exists());
    assert!(told.stderr.contains("quixote: denied"), "{}", told.stderr);
    assert!(told.stderr.contains("/touch"), "{}", told.stderr);
    assert!(told.json()["counts"]["denied"].as_u64() > Some(0));
    assert!(sandbox.good(&["show", "cp", "forensics"]).contains("/touch"));
    let told = enforce(&sandbox, &["--fail-on-violation"], &["touch", "out"]);
    assert_eq!(told.status, 120, "{}", told.stderr);
}

#[test]
fn run_violations_have_a_status_of_their_own_when_asked_for() {
    let sandbox = learned();
    sandbox.write("other", "secret\n");
    let told = enforce(&sandbox, &["--fail-on-violation"], &["cp", "other", "out"]);
    assert_eq!(told.status, 120, "{}", told.stderr);
    let told = enforce(&sandbox, &["--fail-on-violation"], &["cp", "in", "out"]);
    assert_eq!(told.status, 0, "{}", told.stderr);
}

#[test]
fn run_monitored_nothing_is_denied_but_all_is_told() {
    let sandbox = learned();
    sandbox.write("other", "new\n");
    let monitor = ["monitor", "cp.model", "--allow-unsigned", "--json", "--summary", "s.json"];
    let told = sandbox.quixote(&[&monitor[..], &["--", "cp", "other", "out"]].concat());
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert_eq!(sandbox.read("out"), "new\n");
    let summary = told.json();
    assert_eq!(summary["counts"]["denied"], 0);
    assert!(summary["counts"]["violations"].as_u64().unwrap() > 0);
    let written: serde_json::Value = serde_json::from_str(&sandbox.read("s.json")).unwrap();
    assert_eq!(written, summary);
}

#[test]
fn run_reviewed_forensics_are_accepted_and_then_allowed() {
    let sandbox = learned();
    sandbox.write("other", "secret\n");
    enforce(&sandbox, &[], &["cp", "other", "out"]);
    let asked = sandbox.quixote(&["accept", "cp", "--all", "-o", "new.model"]);
    assert_eq!(asked.status, 125, "never silently");
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert!(!sandbox.path("new.model").exists());
    for nobody in ["99", "0", "x", "ffffffffffff"] {
        let told = sandbox.quixote(&["accept", "cp", "--only", nobody, "--yes", "-o", "new.model"]);
        assert_eq!(told.status, 125, "{nobody}");
        assert!(told.stderr.contains("no event of the record is called"), "{}", told.stderr);
    }
    sandbox.write("theirs.model", "another model");
    let told = sandbox.quixote(&["accept", "cp", "--all", "--yes", "-o", "theirs.model"]);
    assert_eq!(told.status, 125);
    assert_eq!(sandbox.read("theirs.model"), "another model");
    let mut denied = true;
    // What comes after the first denial shows itself only once that is accepted.
    for _ in 0..8 {
        sandbox.good(&["accept", "cp", "--all", "--yes", "-o", "cp.model"]);
        let told = enforce(&sandbox, &["--json"], &["cp", "other", "out"]);
        denied = told.json()["counts"]["denied"] != 0;
        if !denied {
            break;
        }
    }
    assert!(!denied);
    assert_eq!(sandbox.read("out"), "secret\n");
}

#[test]
fn run_the_workloads_status_is_ours() {
    let sandbox = Sandbox::new();
    let learn = |command: &[&str]| {
        sandbox
            .quixote(&[&["learn", "-o", "x.model", "--anew", "--quiet", "--"], command].concat())
            .status
    };
    assert_eq!(learn(&["sh", "-c", "exit 3"]), 3);
    assert_eq!(learn(&["sh", "-c", "kill -TERM $$"]), 143);
    assert_eq!(learn(&["./no-such-program"]), 127);
    let told = sandbox.quixote(&["learn", "-o", "x.model", "--", "./no-such-program"]);
    assert!(told.stderr.contains("where: ./no-such-program"), "{}", told.stderr);
    sandbox.write("no-program", "text");
    assert_eq!(learn(&["./no-program"]), 126);
}

#[test]
fn run_the_workload_has_our_streams_and_the_default_signals() {
    let sandbox = Sandbox::new();
    let told = sandbox.quixote(&[
        "learn",
        "-o",
        "x.model",
        "--",
        "sh",
        "-c",
        "yes | head -n 1; echo err >&2",
    ]);
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert_eq!(told.stdout, "y\n");
    assert!(told.stderr.starts_with("err\n"), "{}", told.stderr);
}

#[test]
fn run_again_and_the_model_grows_under_a_new_serial() {
    let sandbox = learned();
    sandbox.write("other", "text\n");
    let learn = ["learn", "-o", "cp.model", "--accept-rules", "none", "--json"];
    let told = sandbox.quixote(&[&learn[..], &["--", "cp", "other", "out"]].concat());
    let learned = &told.json()["learned"];
    assert_eq!(learned["runs"], 2, "{learned}");
    assert_eq!(learned["serial"], 2);
    assert_eq!(learned["convergence"]["outlook"], "varying");
    assert!(learned["convergence"]["runs"][1]["new"].as_u64().unwrap() > 0);
}

#[test]
fn run_what_varies_is_proposed_shown_and_refused_one_by_one() {
    let sandbox = Sandbox::new();
    let learn = |options: &[&str]| {
        // Of three names, all but one look like words once in 400 times: no rule is proposed then.
        let start = ["learn", "-o", "t.model", "--anew", "--runs", "5", "--json"];
        let command = ["--", "sh", "-c", "rm \"$(mktemp ./tmp.XXXXXX)\""];
        let told = sandbox.quixote(&[&start[..], options, &command].concat());
        assert_eq!(told.status, 0, "{}", told.stderr);
        told.json()["learned"].clone()
    };
    let all = learn(&["--accept-rules", "all"]);
    let rules = all["rules"].as_array().unwrap();
    assert!(!rules.is_empty(), "{all}");
    assert!(rules.iter().all(|rule| rule["accepted"] == true));
    assert!(rules[0]["gives_away"].as_str().unwrap().len() > 10);
    assert_eq!(all["convergence"]["outlook"], "identical", "{all}");
    let some = learn(&["--accept-rules", "all", "--reject-rule", "1"]);
    assert_eq!(some["rules"][0]["accepted"], false);
    assert_eq!(some["convergence"]["outlook"], "varying");
    let text = sandbox.good(&["model", "show", "t.model", "--header"]);
    assert!(!text.contains("tmp."), "{text}");
}

#[test]
fn run_names_made_from_the_time_are_seen_to_vary() {
    let sandbox = Sandbox::new();
    let command = ["--", "sh", "-c", "f=at-$(date +%Y%m%d-%H%M%S).log; : >$f; rm $f"];
    let learn = || {
        let learn = ["learn", "-o", "t.model", "--accept-rules", "all", "--json"];
        let told = sandbox.quixote(&[&learn[..], &command].concat());
        assert_eq!(told.status, 0, "{}", told.stderr);
        told.json()["learned"].clone()
    };
    learn();
    let learned = learn();
    let rules = learned["rules"].as_array().unwrap();
    assert!(
        rules[0]["rule"].as_str().unwrap().contains("/at-{digits:8}-{digits:6}.log"),
        "{learned}"
    );
    assert_eq!(learned["convergence"]["outlook"], "identical", "{learned}");
    let enforce = ["enforce", "t.model", "--allow-unsigned", "--json"];
    let told = sandbox.quixote(&[&enforce[..], &command].concat());
    assert_eq!(told.json()["counts"]["violations"], 0, "{}", told.stderr);
}

#[test]
fn run_a_namespace_is_listed_while_it_runs() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["learn", "-o", "s.model", "--quiet", "--", "sleep", "30"])
        .spawn()
        .unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut list = String::new();
    while !list.contains("sleep 30") && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(50));
        list = sandbox.good(&["ps"]);
    }
    assert!(list.contains("sleep 30"), "{list}");
    assert_eq!(sandbox.good(&["show", "s", "state"]).trim().len(), 64);
    // A signal to us alone is meant for the workload.
    let kill = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!sandbox.good(&["ps"]).contains("sleep 30"));
}

/// Waits until a file has this text; the workload sets the pace.
fn await_text(path: &std::path::Path, text: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !fs::read_to_string(path).is_ok_and(|content| content.contains(text)) {
        assert!(std::time::Instant::now() < end, "{} never had {text}", path.display());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn run_what_a_killed_orchestrator_had_seen_is_kept_as_unfinished() {
    let sandbox = Sandbox::new();
    sandbox.write("in", "text\n");
    let learn = ["learn", "-o", "s.model", "--quiet", "--"];
    let waits = ["sh", "-c", "cat in >out; exec sleep 60"];
    let mut child = sandbox.command(&[&learn[..], &waits].concat()).spawn().unwrap();
    await_text(&sandbox.path("../state/unfinished/s.json"), "/work/in{");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!sandbox.path("s.model").exists());

    let shown = sandbox.quixote(&["show", "s", "trajectory"]);
    assert!(shown.stdout.contains("/work/in{"), "{}", shown.stdout);
    assert!(shown.stderr.contains("unfinished: the run s was lost"), "{}", shown.stderr);
    assert!(sandbox.good(&["ps", "--all"]).contains(" lost "));
    assert!(sandbox.quixote(&["ps"]).stderr.contains("1 run did not end"));
    let told = sandbox.quixote(&["accept", "s", "--all", "--yes", "-o", "a.model"]);
    assert_eq!(told.status, 125);
    assert!(told.stderr.contains("--unfinished"), "{}", told.stderr);

    // What cannot be run takes nothing away; the next run says what it replaces.
    assert_eq!(sandbox.quixote(&[&learn[..], &["./none"]].concat()).status, 127);
    let again = sandbox.quixote(&[&learn[..], &["cat", "in"]].concat());
    assert!(again.stderr.contains("the last run of s did not end"), "{}", again.stderr);
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.good(&["ps", "--all", "--json"])).unwrap();
    assert_eq!((&json[0]["running"], json[0].get("unfinished")), (&false.into(), None), "{json}");
    assert!(sandbox.good(&["model", "show", "s.model", "--header"]).contains("1 run,"));
    assert!(!sandbox.path("../state/unfinished/s.json").exists());
}

/// Who passes on signals is who tells of violations, and does not wait for whoever reads them.
#[test]
fn run_a_signal_reaches_a_workload_though_nobody_reads_what_is_told() {
    let sandbox = learned();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let script = "trap ': > ended; exit 3' TERM; : > ready; while sleep 0.1; do cat in > out; done";
    let monitor = ["monitor", "cp.model", "--allow-unsigned", "--", "sh", "-c", script];
    let mut child = sandbox.command(&monitor).stderr(writer).spawn().unwrap();
    await_file(&sandbox.path("ready"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    await_file(&sandbox.path("ended"));
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(told.contains("outside the model"), "{told}");
}

fn await_file(path: &std::path::Path) {
    await_text(path, "");
}

#[test]
fn run_signals_that_were_ignored_stay_ignored() {
    let sandbox = Sandbox::new();
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "trap '' INT; exec quixote learn -o x.model --quiet -- sh -c 'kill -INT $$; exit 4'",
    ]);
    sandbox.settle(&mut shell);
    assert_eq!(shell.status().unwrap().code(), Some(4));
}

/// In a shell, so that limits can be set first.
fn shell(sandbox: &Sandbox, script: &str) -> String {
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script]);
    sandbox.settle(&mut bash);
    String::from_utf8(bash.output().unwrap().stdout).unwrap()
}

#[test]
fn run_what_could_not_be_judged_for_want_of_descriptors_is_lost_and_not_signed() {
    let sandbox = Sandbox::new();
    let script = "ulimit -n 40; quixote learn -q -o x.model --json -- \
        bash -c 'for i in $(seq 60); do sleep 3 & done; wait' 2> told";
    let told = shell(&sandbox, script);
    let summary: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let losses = summary["counts"]["losses"].as_u64().unwrap();
    assert!(losses > 0, "{told}");
    let named = sandbox.read("told");
    let lines =
        named.lines().filter(|line| line.contains("a system call could not be judged tid="));
    assert!((1..=losses).contains(&(lines.count() as u64)), "{named}");
    sandbox.good(&["model", "keygen", "-o", "me.key"]);
    let refused = sandbox.quixote(&["model", "sign", "--key", "me.key", "x.model"]);
    assert_eq!(refused.status, 125);
    assert!(refused.stderr.contains("lost events"), "{}", refused.stderr);
}

#[test]
fn run_the_workload_has_the_limits_that_we_were_given() {
    let sandbox = Sandbox::new();
    let script = "ulimit -Sn 300; quixote learn -q -o x.model --runs 2 -- \
        bash -c 'ulimit -Sn; ulimit -Hn'; ulimit -Sn; ulimit -Hn";
    let told = shell(&sandbox, script);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!((lines.len(), lines[0]), (6, "300"), "{told}");
    assert!(lines[0..2] == lines[2..4] && lines[0..2] == lines[4..6], "{told}");
}

#[test]
fn run_learning_anew_forgets_only_once_there_is_a_new_run() {
    let sandbox = learned();
    let model = sandbox.read("cp.model");
    let anew = ["learn", "-o", "cp.model", "--anew", "-q", "--"];
    assert_eq!(sandbox.quixote(&[&anew[..], &["no-such-program"]].concat()).status, 127);
    assert_eq!(sandbox.read("cp.model"), model);
    assert_eq!(sandbox.read("cp.model.runs").lines().count(), 1);
    assert_eq!(sandbox.quixote(&[&anew[..], &["true"]].concat()).status, 0);
    assert_eq!(sandbox.read("cp.model.runs").lines().count(), 1);
    let model = sandbox.read("cp.model");
    assert!(model.contains("\nserial 2\n") && !model.contains("/cp"), "{model}");
}
