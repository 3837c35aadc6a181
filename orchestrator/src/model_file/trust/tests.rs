//! What must be refused, each for its own reason.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::model_file::format::Descriptions;
use crate::model_file::keys::Algorithm;
use crate::model_file::model::tests::model;

struct House {
    directory: tempfile::TempDir,
    key: SigningKey,
}

impl House {
    /// A signed model, and its key pinned.
    fn new() -> Self {
        let house = Self {
            directory: tempfile::tempdir().unwrap(),
            key: SigningKey::generate(Algorithm::Ed25519),
        };
        fs::create_dir(house.trust()).unwrap();
        fs::set_permissions(house.trust(), fs::Permissions::from_mode(0o755)).unwrap();
        house.pin("a.pub", "");
        house.write(&model());
        sign_file(&house.model(), &house.key).unwrap();
        house
    }

    fn trust(&self) -> PathBuf {
        self.directory.path().join("trust")
    }

    fn model(&self) -> PathBuf {
        self.directory.path().join("nginx.model")
    }

    fn serials(&self) -> SerialStore {
        SerialStore::new(self.directory.path().join("serials"))
    }

    fn pin(&self, name: &str, before: &str) {
        let pem = self.key.public().unwrap().to_pem().unwrap();
        let path = self.trust().join(name);
        fs::write(&path, format!("{before}{pem}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn write(&self, model: &ModelFile) {
        model.write(&self.model(), Descriptions::Keep).unwrap();
    }

    fn verify(&self) -> Result<Verified<ModelFile>, TrustError> {
        let trust = TrustStore::open(&self.trust())?;
        Unverified::read(&self.model())?.verify(&trust, &self.serials())
    }
}

#[test]
fn a_signed_model_is_verified_with_or_without_descriptions() {
    let house = House::new();
    let verified = house.verify().unwrap();
    assert_eq!(verified.signers(), [house.key.public().unwrap().id()]);
    assert_eq!(verified.inner(), &model());
    model().write(&house.model(), Descriptions::Omit).unwrap();
    assert_eq!(house.verify().unwrap().finding().state, model().state().to_hex());
}

#[test]
fn an_unsigned_model_is_refused_unless_it_is_asked_for() {
    let house = House::new();
    fs::remove_file(signature_path(&house.model())).unwrap();
    assert!(matches!(house.verify(), Err(TrustError::Unsigned { .. })));
    let unverified = Unverified::read(&house.model()).unwrap();
    assert!(!unverified.claims_signature());
    assert_eq!(unverified.without_signature().unwrap(), model());
}

#[test]
fn a_changed_model_is_refused() {
    let house = House::new();
    let mut fewer = model();
    let first = *fewer.coefficients().next().unwrap();
    assert!(fewer.remove(&first));
    house.write(&fewer);
    assert!(matches!(
        house.verify(),
        Err(TrustError::OtherModel { what: "number of coefficients" })
    ));
    let mut wider = model();
    let rules = &mut wider.header_mut().rules;
    crate::model_file::header::add_rule(rules, "name /{any} any").unwrap();
    house.write(&wider);
    assert!(matches!(house.verify(), Err(TrustError::OtherModel { what: "header" })));
    let mut swapped = model();
    assert!(swapped.remove(&first));
    assert!(swapped.insert(tsem::Digest([9; 32]), None));
    house.write(&swapped);
    assert!(matches!(house.verify(), Err(TrustError::OtherModel { what: "state" })));
}

#[test]
fn a_key_that_is_not_pinned_counts_for_nothing() {
    let house = House::new();
    let stranger = SigningKey::generate(Algorithm::EcdsaP256);
    sign_file(&house.model(), &stranger).unwrap();
    assert!(matches!(house.verify(), Err(TrustError::Signing(SigningError::NoPinnedKey))));
    fs::remove_file(house.trust().join("a.pub")).unwrap();
    assert!(matches!(house.verify(), Err(TrustError::NoKeys { .. })));
}

#[test]
fn a_key_signs_only_for_its_workloads() {
    let house = House::new();
    house.pin("a.pub", "# the web team\nworkloads: redis postgres\n");
    assert!(matches!(house.verify(), Err(TrustError::NotForThisWorkload { .. })));
    house.pin("a.pub", "workloads: redis\nworkloads: nginx\n");
    house.verify().unwrap();
    house.pin("a.pub", "workloads:\n");
    assert!(matches!(house.verify(), Err(TrustError::NotForThisWorkload { .. })));
    house.pin("a.pub", "workload: nginx\n");
    assert!(matches!(house.verify(), Err(TrustError::Restriction { line: 1, .. })));
}

#[test]
fn a_trust_store_that_others_may_write_is_refused() {
    let house = House::new();
    fs::set_permissions(house.trust().join("a.pub"), fs::Permissions::from_mode(0o664)).unwrap();
    assert!(matches!(house.verify(), Err(TrustError::NotPrivate { mode: 0o664, .. })));
    fs::set_permissions(house.trust().join("a.pub"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(house.trust(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(house.verify(), Err(TrustError::NotPrivate { mode: 0o777, .. })));
}

#[test]
fn an_older_serial_is_refused_once_a_newer_one_was_accepted() {
    let house = House::new();
    house.verify().unwrap().accept(&house.serials()).unwrap();
    let mut newer = model();
    newer.header_mut().serial += 1;
    house.write(&newer);
    sign_file(&house.model(), &house.key).unwrap();
    house.verify().unwrap();
    house.verify().unwrap().accept(&house.serials()).unwrap();
    house.write(&model());
    sign_file(&house.model(), &house.key).unwrap();
    let refused = house.verify();
    assert!(matches!(refused, Err(TrustError::Serial(SerialError::Rollback { .. }))));
}

#[test]
fn a_model_with_losses_cannot_be_signed() {
    let house = House::new();
    let mut lossy = model();
    lossy.header_mut().losses = 1;
    assert!(matches!(sign(&lossy, &house.key), Err(TrustError::Lossy { losses: 1 })));
    house.write(&lossy);
    assert!(matches!(sign_file(&house.model(), &house.key), Err(TrustError::Lossy { .. })));
}

#[test]
fn a_damaged_signature_is_refused() {
    let house = House::new();
    let beside = signature_path(&house.model());
    fs::write(&beside, "{}").unwrap();
    assert!(matches!(house.verify(), Err(TrustError::Signing(SigningError::NotAnEnvelope(_)))));
    fs::write(&beside, vec![b' '; ENVELOPE_MAX as usize + 1]).unwrap();
    assert!(matches!(house.verify(), Err(TrustError::SignatureTooLarge { .. })));
}
