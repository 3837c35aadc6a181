//! What is proposed, and what is not.

use proptest::prelude::*;
use tsem::Digest;
use tsem::TaskIndex;

use super::*;
use crate::model_file::header::add_rule;
use crate::model_file::model::tests::Story;

fn run(made: &[&str], read: &[&str]) -> Observation {
    let mut story = Story::new();
    let task = story.exec(TaskIndex::INITIAL, "/bin/sh");
    for path in made {
        story.make(task, path);
    }
    for path in read {
        story.open(task, path, 1);
    }
    story.observation
}

fn proposed(runs: &[Observation]) -> Vec<String> {
    let runs: Vec<&Observation> = runs.iter().collect();
    let found = propose(&runs, &Rules::default()).unwrap();
    found.proposals.into_iter().map(|proposal| proposal.rule).collect()
}

#[test]
fn names_of_the_workloads_own_get_the_narrowest_class() {
    for (first, second, rule) in [
        ("/tmp/ccAb12Cd.s", "/tmp/ccx9Yz0Q.s", "name /tmp/cc{alnum:6}.s made"),
        ("/tmp/ccAb12Cd.s", "/tmp/ccA9Yz0Q.s", "name /tmp/cc{alnum:6}.s made"),
        ("/run/w.12345", "/run/w.12399", "name /run/w.{digits} made"),
        ("/run/w.999", "/run/w.1000", "name /run/w.{digits} made"),
        ("/run/w.0017", "/run/w.0018", "name /run/w.{digits:4} made"),
        ("/v/log-20260101.gz", "/v/log-20260102.gz", "name /v/log-{digits:8}.gz made"),
        ("/g/tmp_obj_Ab12Cd", "/g/tmp_obj_Xy34Zw", "name /g/tmp_obj_{alnum:6} made"),
        ("/p/00ff00ff00ff", "/p/1234567890ab", "name /p/{hex:12} made"),
        ("/b/s-aB-cD+e9", "/b/s-x+Yz-w12", "name /b/s-{any:8} made"),
        ("/p/x1.2", "/p/x3.4", "name /p/x{digits}.{digits} made"),
    ] {
        assert_eq!(proposed(&[run(&[first], &[]), run(&[second], &[])]), [rule]);
    }
}

/// What mktemp(1) chose in good runs, of which one looks like words.
#[test]
fn one_random_name_that_looks_like_words_is_taken_for_random_beside_another() {
    for (first, second) in
        [("ztgXotyd", "Y3HAFOoY"), ("TXHrPRMy", "NEcJ9gjL"), ("YNEFnIEW", "qRAMkKXR")]
    {
        let runs = [first, second].map(|name| run(&[&format!("/tmp/backup.{name}")], &[]));
        assert_eq!(proposed(&runs), ["name /tmp/backup.{alnum:8} made"], "{first}");
    }
}

#[test]
fn what_is_the_same_in_all_runs_is_left_alone() {
    let names = ["/run/w1", "/run/w2", "/run/w3", "/etc/a1b2c3"];
    assert_eq!(proposed(&[run(&names, &names), run(&names, &names)]), [""; 0]);
}

#[test]
fn words_of_other_peoples_files_are_no_pattern() {
    let runs = [run(&[], &["/home/alice"]), run(&[], &["/home/robin"])];
    assert_eq!(proposed(&runs), [""; 0]);
    let runs: Vec<&Observation> = runs.iter().collect();
    let found = propose(&runs, &Rules::default()).unwrap();
    assert_eq!(found.unexplained, ["/home/alice", "/home/robin"]);
}

#[test]
fn a_rule_about_other_peoples_files_needs_three_runs() {
    let spool = |names: &[&str]| names.iter().map(|name| run(&[], &[name])).collect::<Vec<_>>();
    assert_eq!(proposed(&spool(&["/spool/msg.123", "/spool/msg.456"])), [""; 0]);
    let three = spool(&["/spool/msg.123", "/spool/msg.456", "/spool/msg.78"]);
    assert_eq!(proposed(&three), ["name /spool/msg.{digits} any"]);
}

#[test]
fn words_are_no_pattern_even_for_names_of_the_workloads_own() {
    for (first, second) in [
        ("/w/alice", "/w/robin"),
        ("/w/ChangeLog", "/w/ReadMeNow"),
        ("/w/HTTPServer", "/w/JSONParser"),
        ("/w/settings", "/w/Release2"),
        ("/w/report.txt", "/w/letter.txt"),
        ("/w/config.lock", "/w/index.lock"),
    ] {
        assert_eq!(proposed(&[run(&[first], &[]), run(&[second], &[])]), [""; 0], "{first}");
    }
}

#[test]
fn random_letters_without_a_digit_count_beside_siblings_that_have_one() {
    let names = ["/tmp/tmpk3x_9wqa", "/tmp/tmpabcdefgh", "/tmp/tmpz0o8m_yx"];
    let runs = names.map(|name| run(&[name], &[]));
    assert_eq!(proposed(&runs), ["name /tmp/tmp{alnum:8} made"]);
    let mixed = ["/g/tOgcxzx", "/g/tkxOyEl", "/g/tqwerty"].map(|name| run(&[name], &[]));
    assert_eq!(proposed(&mixed), ["name /g/t{alnum:6} made"]);
    let words = ["/tmp/tmpabcdefgh", "/tmp/tmpijklmnop"].map(|name| run(&[name], &[]));
    assert_eq!(proposed(&words), [""; 0]);
    let beside = ["/tmp/tmpk3x_9wqa", "/tmp/settings_oz", "/tmp/tmpz0o8m_yx"];
    let runs = beside.map(|name| run(&[name], &[]));
    assert_eq!(proposed(&runs), ["name /tmp/tmp{alnum:8} made"]);
}

#[test]
fn what_would_cover_a_constant_is_refused_but_for_digits_of_a_fixed_number() {
    let with = |constant: &str, name: &str| run(&[constant, name], &[]);
    let loose = [with("/d/w7", "/d/w12"), with("/d/w7", "/d/w13")];
    assert_eq!(proposed(&loose), [""; 0]);
    let fixed = [with("/d/w0007", "/d/w0012"), with("/d/w0007", "/d/w0013")];
    assert_eq!(proposed(&fixed), ["name /d/w{digits:4} made"]);
    let constant = "/p/0123456789abcdef";
    let hex = [with(constant, "/p/fedcba9876543210"), with(constant, "/p/a0b1c2d3e4f50617")];
    assert_eq!(proposed(&hex), ["name /p/{hex:16} made"]);
}

/// As rsync names what it writes: letters that look like words are random beside others.
#[test]
fn what_is_random_in_a_directory_is_random_in_each_family() {
    let names =
        [["/m/.a.txt.BQXadk", "/m/.b.txt.u3Zk9q"], ["/m/.a.txt.Report", "/m/.b.txt.Xy7ab2"]];
    let runs = names.map(|names| run(&names, &[]));
    let expected = ["name /m/.a.txt.{alnum:6} made", "name /m/.b.txt.{alnum:6} made"];
    assert_eq!(proposed(&runs), expected);
}

/// As git names packs: what two runs do within one second has the same digest.
#[test]
fn quick_runs_may_share_a_digest() {
    let pack = |digest: &str| format!("/g/pack/pack-{digest}.keep");
    let [first, second] =
        ["66a0d548d3193a9036327bb7830e7f8e4dab42d6", "d878a81193203456bc157a41cfae794a5293fa1a"]
            .map(pack);
    let runs = [&first, &first, &second].map(|name| run(&[name], &[]));
    assert_eq!(proposed(&runs), ["name /g/pack/pack-{hex:40}.keep made"]);
    let same = [&[first.as_str()][..], &[&first, &second]].map(|names| run(names, &[]));
    assert_eq!(proposed(&same), [""; 0]);
}

/// As `PostgreSQL` names the files of a parallel sort.
#[test]
fn the_runs_decide_which_part_of_a_name_varies() {
    let sort = |pid: u32, indices: u32| {
        let name = |index| format!("/b/pgsql_tmp{pid}.{index}.fileset");
        let names: Vec<String> = (0..indices).map(name).collect();
        run(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    };
    let of = |indices| proposed(&[sort(24455, indices), sort(24690, indices), sort(3, indices)]);
    assert_eq!(of(3), ["name /b/pgsql_tmp{digits}.{digits}.fileset made"]);
    let mut two = of(2);
    two.sort();
    let each = [0, 1].map(|index| format!("name /b/pgsql_tmp{{digits}}.{index}.fileset made"));
    assert_eq!(two, each);
    let alone = |names: &[&str]| run(names, &[]);
    let optional = [alone(&["/b/f.1", "/b/f.2", "/b/f.3"]), alone(&["/b/f.2", "/b/f.3"])];
    assert_eq!(proposed(&optional), [""; 0]);
}

#[test]
fn extensions_and_prefixes_are_families() {
    let (one, two) = ("0a".repeat(20), "f3".repeat(20));
    let pack = |digest: &str, pid: u32| {
        let names = [".pack", ".idx", ".rev"].map(|end| format!("/p/pack-{digest}{end}"));
        let hidden = format!("/p/.tmp-{pid}-pack-{digest}.idx");
        let names: Vec<&str> = names.iter().chain([&hidden]).map(String::as_str).collect();
        run(&names, &[])
    };
    let mut found = proposed(&[pack(&one, 77), pack(&two, 1012)]);
    found.sort();
    let expected = [
        "name /p/.tmp-{digits}-pack-{hex:40}.idx made",
        "name /p/pack-{hex:40}.idx made",
        "name /p/pack-{hex:40}.pack made",
        "name /p/pack-{hex:40}.rev made",
    ];
    assert_eq!(found, expected);
}

/// As git lays out objects: some directories every run has, some come again in another run.
#[test]
fn short_digests_of_directories_may_come_again() {
    let object = |directory: &str, number: u32| {
        let name = &Digest::of(&[&number.to_le_bytes()]).to_hex()[..38];
        [format!("/o/{directory}"), format!("/o/{directory}/{name}")]
    };
    let objects = |directories: [&str; 5], seed: u32| {
        let paths = directories.iter().zip(seed..).flat_map(|(one, seed)| object(one, seed));
        let paths: Vec<String> = paths.collect();
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        paths.extend(["/o/pack", "/o/info"]);
        run(&paths, &[])
    };
    let runs = [
        objects(["a1", "0f", "77", "c4", "ee"], 10),
        objects(["a1", "0f", "b2", "d9", "31"], 20),
        objects(["a1", "5c", "b2", "fa", "08"], 30),
    ];
    let expected = ["name /o/{hex:2} made", "name /o/{hex:2}/{hex:38} made"];
    assert_eq!(proposed(&runs), expected);
    // With digests below, two of them are enough.
    let few = [run(&["/o/9c", "/o/9c/x"], &[]), run(&["/o/ab", "/o/ab/x"], &[])];
    assert_eq!(proposed(&few), [""; 0]);
    let below = |directory, seed| {
        let paths = object(directory, seed);
        run(&[&paths[0], &paths[1]], &[])
    };
    assert_eq!(proposed(&[below("9c", 7), below("ab", 8)]), expected);
    assert_eq!(proposed(&[below("fb", 7), below("ce", 8)]), expected);
    assert_eq!(proposed(&[below("17", 7), below("25", 8)]), expected);
}

#[test]
fn a_name_by_the_second_is_any_date_and_time() {
    let archive = |time: &str| {
        let names = ["", ".part", ".sha256"].map(|end| format!("/b/home-20261124-{time}.gz{end}"));
        run(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    };
    let mut found = proposed(&[archive("134350"), archive("134351"), archive("134353")]);
    found.sort();
    let expected = ["", ".part", ".sha256"]
        .map(|end| format!("name /b/home-{{digits:8}}-{{digits:6}}.gz{end} made"));
    assert_eq!(found, expected);
    // Two quick runs may share a second.
    let mut shared = proposed(&[archive("134350"), archive("134350"), archive("134353")]);
    shared.sort();
    assert_eq!(shared, expected);
}

/// Tomorrow's run differs from today's in more than the seconds.
#[test]
fn a_time_varies_as_a_whole_with_its_date() {
    for (one, other, pattern) in [
        ("20261130-0450", "20261130-0451", "{digits:8}-{digits:4}"),
        ("20261130T045023Z", "20261130T045024Z", "{digits:8}T{digits:6}Z"),
        ("20261130045023", "20261130045024", "{digits:14}"),
        (
            "2026-11-30T04:50:23",
            "2026-11-30T04:50:31",
            "{digits:4}-{digits:2}-{digits:2}T{digits:2}:{digits:2}:{digits:2}",
        ),
        (
            "2026-11-30_04.50.23",
            "2026-11-30_04.50.24",
            "{digits:4}-{digits:2}-{digits:2}_{digits:2}.{digits:2}.{digits:2}",
        ),
        ("04:50:23", "04:50:24", "{digits:2}:{digits:2}:{digits:2}"),
        ("20261130-045023.81723", "20261130-045024.994", "{digits:8}-{digits:6}.{digits}"),
        ("v1-04:50:23-7", "v1-04:50:24-81", "v1-{digits:2}:{digits:2}:{digits:2}-{digits}"),
        // What varies is no part of the time, or there is none.
        ("20261130-045023.81723", "20261130-045023.994", "20261130-045023.{digits}"),
        ("20261330-0450-81723", "20261330-0450-994", "20261330-0450-{digits}"),
        ("10.20.301", "10.20.302", "10.20.{digits}"),
    ] {
        let runs = [one, other].map(|name| run(&[&format!("/b/at-{name}.log")], &[]));
        assert_eq!(proposed(&runs), [format!("name /b/at-{pattern}.log made")], "{one}");
    }
}

/// Nothing is proposed that no model can hold.
#[test]
fn a_name_of_more_varying_parts_than_a_pattern_may_have_is_unexplained() {
    let name = |parts: usize, first: usize| {
        let numbers: Vec<String> = (first..first + parts).map(|n| (n * 97).to_string()).collect();
        run(&[&format!("/b/{}", numbers.join("-"))], &[])
    };
    assert_eq!(proposed(&[name(8, 11), name(8, 77)]).len(), 1);
    assert_eq!(proposed(&[name(9, 11), name(9, 77)]), [""; 0]);
    let timed =
        |second: u32, rest: &str| run(&[&format!("/b/2026-11-30T04:50:{second}-{rest}")], &[]);
    let found = proposed(&[timed(23, "812-9431-88123"), timed(24, "7-12001-4")]);
    assert_eq!(found, ["name /b/2026-11-30T04:50:{digits}-{digits}-{digits}-{digits} made"]);
}

/// The next number may have a digit more or less.
#[test]
fn numbers_that_happen_to_have_one_width_are_of_any() {
    let names = ["/s/PostgreSQL.3923847234", "/s/PostgreSQL.1042556201"];
    assert_eq!(
        proposed(&names.map(|name| run(&[name], &[]))),
        ["name /s/PostgreSQL.{digits} made"]
    );
}

#[test]
fn rules_nest_and_directories_are_laid_together() {
    let runs = [
        run(&["/tmp/t.aB3dEf", "/tmp/t.aB3dEf/p17", "/tmp/t.aB3dEf/log"], &[]),
        run(&["/tmp/t.Qx8yZ1", "/tmp/t.Qx8yZ1/p18", "/tmp/t.Qx8yZ1/log"], &[]),
    ];
    let expected = ["name /tmp/t.{alnum:6} made", "name /tmp/t.{alnum:6}/p{digits} made"];
    assert_eq!(proposed(&runs), expected);
}

#[test]
fn a_rule_that_is_there_is_not_proposed_again() {
    let runs = [
        run(&["/tmp/t.aB3dEf", "/tmp/t.aB3dEf/p17"], &[]),
        run(&["/tmp/t.Qx8yZ1", "/tmp/t.Qx8yZ1/p18"], &[]),
    ];
    let runs: Vec<&Observation> = runs.iter().collect();
    let mut rules = Rules::default();
    add_rule(&mut rules, "name /tmp/t.{alnum:6} made").unwrap();
    let found = propose(&runs, &rules).unwrap();
    let found: Vec<&str> = found.proposals.iter().map(|found| found.rule.as_str()).collect();
    assert_eq!(found, ["name /tmp/t.{alnum:6}/p{digits} made"]);
    add_rule(&mut rules, found[0]).unwrap();
    assert_eq!(propose(&runs, &rules).unwrap(), Proposals::default());
}

#[test]
fn one_run_proposes_nothing() {
    let many = ["/tmp/a12", "/tmp/a13", "/tmp/a999", "/tmp/ccAb12Cd.s", "/tmp/ccx9Yz0Q.s"];
    assert_eq!(proposed(&[run(&many, &[])]), [""; 0]);
    assert_eq!(proposed(&[run(&[], &many)]), [""; 0]);
    // Nor does a directory that one of several runs showed.
    assert_eq!(proposed(&[run(&many, &[]), run(&["/etc/a"], &[])]), [""; 0]);
}

#[test]
fn evidence_and_what_is_given_away_are_told() {
    let runs = [run(&["/tmp/a12"], &[]), run(&["/tmp/a13"], &[])];
    let runs: Vec<&Observation> = runs.iter().collect();
    let found = propose(&runs, &Rules::default()).unwrap();
    let proposal = &found.proposals[0];
    assert_eq!(proposal.examples, ["/tmp/a12", "/tmp/a13"]);
    assert_eq!((proposal.distinct, proposal.runs), (2, 2));
    assert!(proposal.gives_away.contains("/tmp/a{digits}"), "{}", proposal.gives_away);
}

#[test]
fn peers_that_vary_are_a_network_if_they_are_near() {
    let talk = |hosts: &[[u8; 4]]| {
        let mut story = Story::new();
        let task = story.exec(TaskIndex::INITIAL, "/bin/sh");
        for host in hosts {
            story.connect(task, *host, 443);
        }
        story.observation
    };
    let near = [talk(&[[10, 1, 2, 3]]), talk(&[[10, 1, 2, 9]])];
    assert_eq!(proposed(&near), ["address 10.1.2.0/28 443"]);
    let far = [talk(&[[10, 1, 2, 3]]), talk(&[[192, 0, 2, 9]])];
    assert_eq!(proposed(&far), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever the names are: with all proposals accepted every example is covered, and no
    /// further rule is proposed for the same names.
    #[test]
    fn proposals_cover_their_evidence(
        names in prop::collection::btree_set("[a-c0-9._-]{1,9}", 2..12),
        made in any::<bool>(),
    ) {
        let paths: Vec<String> = names.iter().filter(|name| !matches!(name.as_str(), "." | ".."))
            .map(|name| format!("/d/{name}")).collect();
        let half = |first: usize| paths.iter().skip(first).step_by(2).map(String::as_str);
        let runs = [half(0), half(1)].map(|paths| {
            let paths: Vec<&str> = paths.collect();
            if made { run(&paths, &[]) } else { run(&[], &paths) }
        });
        let runs: Vec<&Observation> = runs.iter().collect();
        let found = propose(&runs, &Rules::default()).unwrap();
        let mut rules = Rules::default();
        for proposal in &found.proposals {
            add_rule(&mut rules, &proposal.rule).unwrap();
            let pattern = Pattern::parse(proposal.rule.split(' ').nth(1).unwrap()).unwrap();
            for example in &proposal.examples {
                let covered = pattern.match_prefix(example.as_bytes());
                prop_assert_eq!(covered, Some(example.len()), "{} {}", pattern, example);
            }
        }
        let again = propose(&runs, &rules).unwrap();
        for proposal in &again.proposals {
            prop_assert!(!found.proposals.iter().any(|old| old.rule == proposal.rule));
        }
    }
}

/// A stored run says nothing of makers where there are none.
#[test]
fn runs_that_were_stored_propose_what_fresh_ones_do() {
    let spool = ["/spool/msg.123", "/spool/msg.456", "/spool/msg.78"];
    let mut runs = spool.map(|name| run(&[], &[name, "/etc/passwd"]));
    for event in runs[..2].iter_mut().flat_map(|run| &mut run.events) {
        event.observed.makers.clear();
    }
    assert_eq!(proposed(&runs), ["name /spool/msg.{digits} any"]);
    let runs: Vec<&Observation> = runs.iter().collect();
    assert_eq!(propose(&runs, &Rules::default()).unwrap().unexplained, [""; 0]);
}
