//! `quixote references ima`: what a list of measurements is compared with.

use crate::sandbox::Sandbox;

const REFERENCE: &str = r#"{"path":"/usr/bin/a","digest":"sha256:ababababababababababababababababababababababababababababababab12","format":"list","package":"p","version":"1","arch":"all","verified":"pinned"}"#;

/// A list of one measurement that is vouched for, and what it leads to in a bank.
fn measured(bank: &str, padded: bool) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.write("all.references", &format!("{REFERENCE}\n"));
    sandbox.write("order", "/usr/bin/a\n");
    let ima = ["references", "ima"];
    let from = ["--references", "all.references", "--order", "order", "-o", "list"];
    sandbox.good(&[&ima[..], &["measurements"], &from].concat());
    let padding = if padded { vec!["--padded", bank] } else { vec![] };
    let predict = [&ima[..], &["predict-pcr", "--bank", bank, "list"], &padding].concat();
    let value = sandbox.good(&predict).trim().to_owned();
    (sandbox, value)
}

fn verify(sandbox: &Sandbox, value: &str, more: &[&str]) -> (i32, String) {
    let verify = ["references", "ima", "verify-list", "--references", "all.references"];
    let told = sandbox.quixote(&[&verify[..], &["list", "--pcr-value", value], more].concat());
    (told.status, told.stdout + &told.stderr)
}

#[test]
fn a_pcr_that_the_list_leads_to_is_taken_and_another_is_not() {
    for bank in ["sha1", "sha256", "sha384", "sha512"] {
        let (sandbox, value) = measured(bank, false);
        let (status, said) = verify(&sandbox, &value, &[]);
        assert_eq!(status, 0, "{said}");
        let digits = value.split_once(':').unwrap().1;
        let other = format!("{bank}:{}", "0".repeat(digits.len()));
        let (status, said) = verify(&sandbox, &other, &[]);
        assert_eq!(status, 1, "{said}");
        assert!(
            said.contains(&format!("PCR of bank {bank}")) && !said.contains("it would"),
            "{said}"
        );
    }
}

#[test]
fn a_padded_bank_is_taken_when_it_is_asked_for_and_explained_when_not() {
    let (sandbox, value) = measured("sha384", true);
    let (status, said) = verify(&sandbox, &value, &["--padded", "sha384"]);
    assert_eq!(status, 0, "{said}");
    let (status, said) = verify(&sandbox, &value, &[]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("if that is so: --padded sha384"), "{said}");
    // Asked for, the bank's own hash does not count.
    let (sandbox, value) = measured("sha384", false);
    let (status, said) = verify(&sandbox, &value, &["--padded", "sha384"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("it would without --padded sha384"), "{said}");
}

/// Verifies a list as it is, without a PCR.
fn check(sandbox: &Sandbox, list: &str, more: &[&str]) -> (i32, String) {
    let verify = ["references", "ima", "verify-list", "--references", "all.references", list];
    let told = sandbox.quixote(&[&verify[..], more].concat());
    (told.status, told.stdout + &told.stderr)
}

/// A list of one file and boot aggregates with these digits over and over.
fn booted(digits: &[&str]) -> (Sandbox, Vec<String>) {
    let (sandbox, _) = measured("sha256", false);
    let digests: Vec<_> = digits.iter().map(|two| format!("sha256:{}", two.repeat(32))).collect();
    let mut all = String::new();
    for (at, digest) in digests.iter().enumerate() {
        let order = if at == 0 { "order" } else { "/dev/null" };
        let from = ["--references", "all.references", "--order", order, "--boot-aggregate", digest];
        all += &sandbox.good(&[&["references", "ima", "measurements"], &from[..]].concat());
    }
    sandbox.write("booted", &all);
    (sandbox, digests)
}

#[test]
fn a_second_boot_aggregate_is_named() {
    let (sandbox, digests) = booted(&["11"]);
    let (status, said) = check(&sandbox, "booted", &[]);
    assert_eq!(status, 0, "{said}");
    let counts = "vouched for: 1 measurement; not: 0; violations: 0; boot aggregates: 1";
    assert!(said.contains(counts), "{said}");
    let (status, said) = check(&sandbox, "booted", &["--boot-aggregate", &digests[0]]);
    assert_eq!(status, 0, "{said}");

    let (sandbox, digests) = booted(&["11", "22"]);
    let (status, said) = check(&sandbox, "booted", &[]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains(&format!("boot_aggregate {}", digests[1])), "{said}");
    assert!(said.contains("not: 1; violations: 0; boot aggregates: 1"), "{said}");
    // Not its place, but its digest says which is right.
    let (status, said) = check(&sandbox, "booted", &["--boot-aggregate", &digests[1]]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains(&format!("boot_aggregate {}", digests[0])), "{said}");
    let both = ["--boot-aggregate", &digests[0], "--boot-aggregate", &digests[1]];
    let (status, said) = check(&sandbox, "booted", &both);
    assert_eq!(status, 0, "{said}");
}

#[test]
fn several_lists_vouch_together() {
    let (sandbox, _) = measured("sha256", false);
    sandbox.write("own.references", &(REFERENCE.replace("/usr/bin/a", "/usr/bin/b") + "\n"));
    let (status, said) = check(&sandbox, "list", &["--references", "own.references"]);
    assert_eq!(status, 0, "{said}");
    sandbox.write("all.references", "");
    let (status, said) = check(&sandbox, "list", &["--references", "own.references"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("packages have this content, at another path"), "{said}");
}
