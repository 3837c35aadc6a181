use super::*;
use crate::model_file::header::add_rule;
use crate::model_file::header::tests::header;

fn refused(change: impl FnOnce(&mut Header)) -> String {
    let in_force = header();
    let mut offered = Header { serial: in_force.serial + 1, ..header() };
    change(&mut offered);
    follows(&offered, &in_force).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_was_formed_under_the_one_in_force_must_be_formed_alike() {
    assert_eq!(refused(|_| {}), "");
    assert_eq!(refused(|header| header.serial += 9), "");
    assert_eq!(refused(|header| header.created_by = "another".into()), "");
    let workload = |header: &mut Header| header.workload = Name::parse("redis").unwrap();
    assert!(refused(workload).contains("is of redis"));
    assert!(refused(|header| header.serial -= 1).contains("only a newer one"));
    assert!(refused(|header| header.serial -= 2).contains("only a newer one"));
    let profile = |header: &mut Header| header.rules.profile = tsem::Profile::Full;
    assert!(refused(profile).contains("another profile"));
    assert!(refused(|header| header.platform.base = Digest([1; 32])).contains("'base'"));
    assert!(refused(|header| header.platform.aggregate = Digest::ZERO).contains("'aggregate'"));
    for rule in ["name /srv/{digits} any", "digest /srv", "address 10.0.0.0/8 80"] {
        let added = refused(|header| add_rule(&mut header.rules, rule).unwrap());
        assert!(added.contains("set of rules") && added.contains("restart"), "{rule}: {added}");
    }
    assert!(refused(|header| header.rules.references.clear()).contains("set of rules"));
    assert!(refused(|header| header.rules.names.clear()).contains("set of rules"));
}

#[test]
fn a_path_that_a_record_cannot_hold_is_none() {
    assert_eq!(recordable(b"/srv/web.model"), Some(Path::new("/srv/web.model")));
    let long = [b"/".as_slice(), &[b'a'; tsem::TEXT_MAX]].concat();
    for path in [b"web.model".as_slice(), b"/\xff", b"/a\0b", b"", &long] {
        assert_eq!(recordable(path), None, "{path:?}");
    }
}
