use super::*;
use crate::arguments::namespace::Aspect;
use crate::arguments::run::OnViolation;

fn parse(line: &str) -> Result<Command, String> {
    let words = std::iter::once("quixote").chain(line.split_whitespace());
    let parsed = Arguments::try_parse_from(words);
    parsed.map(|arguments| arguments.command).map_err(|error| error.to_string())
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn what_follows_the_dashes_is_the_workloads() {
    let Ok(Command::Learn(learn)) = parse("learn -o m.model --runs 3 -- ls --json -- -x") else {
        panic!("not learn");
    };
    assert_eq!(learn.run.command, ["ls", "--json", "--", "-x"]);
    assert_eq!(learn.runs, 3);
    assert!(!learn.run.json);
}

#[test]
fn a_run_needs_a_workload_and_a_model() {
    assert!(parse("learn -o m.model").is_err());
    assert!(parse("learn -o m.model --").is_err());
    assert!(parse("learn -- true").is_err());
    assert!(parse("enforce -- true").is_err());
    assert!(parse("monitor m.model true").is_err());
    assert!(parse("learn -o m.model --runs 0 -- true").is_err());
}

#[test]
fn options_may_stand_on_either_side_of_the_model() {
    for line in [
        "enforce m.model --on-violation kill --fail-on-violation -- true",
        "enforce --on-violation kill --fail-on-violation m.model -- true",
    ] {
        let Ok(Command::Enforce(enforce)) = parse(line) else { panic!("not enforce: {line}") };
        assert_eq!(enforce.on_violation, OnViolation::Kill);
        assert!(enforce.model.fail_on_violation);
        assert!(!enforce.model.allow_unsigned);
    }
}

#[test]
fn untrust_is_what_a_violation_does_unless_told_otherwise() {
    let Ok(Command::Enforce(enforce)) = parse("enforce m.model -- true") else { panic!() };
    assert_eq!(enforce.on_violation, OnViolation::Untrust);
}

#[test]
fn every_aspect_of_the_book_can_be_shown() {
    for (word, aspect) in [
        ("trajectory", Aspect::Trajectory),
        ("forensics", Aspect::Forensics),
        ("coefficients", Aspect::Coefficients),
        ("counts", Aspect::Counts),
        ("state", Aspect::State),
        ("measurement", Aspect::Measurement),
        ("model", Aspect::Model),
    ] {
        let Ok(Command::Show(show)) = parse(&format!("show web {word} --json")) else {
            panic!("not show: {word}");
        };
        assert_eq!(show.aspect, aspect);
        assert!(show.json);
    }
    assert!(parse("show web everything").is_err());
}

#[test]
fn accept_takes_all_or_some_but_not_both() {
    let Ok(Command::Accept(accept)) = parse("accept web --only 1 3,5 -o m.model") else { panic!() };
    assert_eq!(accept.only, ["1", "3", "5"]);
    assert!(!accept.yes);
    assert!(parse("accept web --all --only 1 -o m.model").is_err());
}

/// Every command that lists has `--json`, and says so.
#[test]
fn every_command_has_json_but_those_that_write_text_for_others() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().for_each(|below| check(below, &path));
        } else if !["completions", "man", "help"].contains(&command.get_name()) {
            let has = command.get_arguments().any(|argument| argument.get_id() == "json");
            assert!(has, "{path} has no --json");
        }
    }
    check(&Arguments::command(), "");
}

/// Short help and long help both have examples.
#[test]
fn every_command_has_examples() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().for_each(|below| check(below, &path));
        } else if !["man", "help"].contains(&command.get_name()) {
            let mut command = command.clone();
            for text in [command.render_help(), command.render_long_help()] {
                assert!(text.to_string().contains("Examples:"), "{path} has no examples");
            }
        }
    }
    check(&Arguments::command(), "");
}
