//! Help, version, completions, manual pages.

use crate::sandbox::Sandbox;

#[test]
fn help_shows_the_main_job_and_every_exit_status() {
    let text = Sandbox::new().good(&["--help"]);
    for part in ["quixote learn", "quixote model sign", "quixote enforce", "\n  120 ", "\n  125 "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn every_command_that_runs_a_workload_has_examples_and_exit_statuses() {
    let sandbox = Sandbox::new();
    for command in ["learn", "monitor", "enforce"] {
        assert!(sandbox.good(&[command, "-h"]).contains("Examples:"), "{command}");
        assert!(sandbox.good(&[command, "--help"]).contains("Exit status:"), "{command}");
    }
}

#[test]
fn completions_are_scripts_that_shells_read() {
    let sandbox = Sandbox::new();
    let script = sandbox.write("quixote.bash", &sandbox.good(&["completions", "bash"]));
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n").arg(script);
    assert!(bash.status().unwrap().success());
    for shell in ["zsh", "fish"] {
        assert!(sandbox.good(&["completions", shell]).contains("enforce"), "{shell}");
    }
}

#[test]
fn a_manual_page_for_each_command() {
    let sandbox = Sandbox::new();
    assert!(sandbox.good(&["man"]).starts_with(".ie"));
    sandbox.good(&["man", "pages"]);
    for page in ["quixote.1", "quixote-enforce.1", "quixote-model-sign.1"] {
        assert!(sandbox.read(&format!("pages/{page}")).contains(".TH"), "{page}");
    }
}

#[test]
fn no_colour_where_there_is_no_terminal() {
    let sandbox = Sandbox::new();
    assert!(!sandbox.quixote(&["doctor"]).stdout.contains('\x1b'));
    assert!(sandbox.quixote(&["doctor", "--color", "always"]).stdout.contains('\x1b'));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", "set -o pipefail; quixote completions bash | head -n 1"]);
    sandbox.settle(&mut shell);
    let output = shell.output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
