use super::*;
use pgp::composed::DetachedSignature;
use pgp::composed::KeyType;
use pgp::composed::SecretKeyParamsBuilder;
use pgp::composed::SignedSecretKey;
use pgp::ser::Serialize as _;
use pgp::types::Password;
use std::sync::LazyLock;

const NOW_S: u64 = 4_000_000_000;
static KEY: LazyLock<SignedSecretKey> = LazyLock::new(|| made(KeyType::Ed25519Legacy));
static OTHER: LazyLock<SignedSecretKey> = LazyLock::new(|| made(KeyType::Ed25519Legacy));

fn made(kind: KeyType) -> SignedSecretKey {
    let mut key = SecretKeyParamsBuilder::default();
    key.key_type(kind).can_certify(true).can_sign(true).primary_user_id("Signer".into());
    key.build().unwrap().generate(rand::thread_rng()).unwrap()
}

fn ring(key: &SignedSecretKey) -> Keyring {
    Keyring::read(&key.to_public_key().to_bytes().unwrap()).unwrap()
}

fn signed(key: &SignedSecretKey, hash: HashAlgorithm, data: &[u8]) -> Vec<u8> {
    let random = rand::thread_rng();
    let made = DetachedSignature::sign_binary_data(
        random,
        &key.primary_key,
        &Password::empty(),
        hash,
        data,
    );
    made.unwrap().to_bytes().unwrap()
}

#[test]
fn a_pinned_keys_signature_counts_and_nobody_elses() {
    let packets = signed(&KEY, HashAlgorithm::Sha256, b"data");
    let signer = ring(&KEY).verify(&packets, b"data", NOW_S).unwrap();
    assert_eq!(signer.name, "Signer");
    assert_eq!(signer.key.len(), 40);
    let others = ring(&OTHER).verify(&packets, b"data", NOW_S);
    assert_eq!(others, Err(SignatureProblem::UnknownKey));
    let none = Keyring::default().verify(&packets, b"data", NOW_S);
    assert_eq!(none, Err(SignatureProblem::UnknownKey));
    assert_eq!(ring(&KEY).verify(b"", b"data", NOW_S), Err(SignatureProblem::Missing));
}

#[test]
fn one_good_signature_of_several_is_enough() {
    let other = signed(&OTHER, HashAlgorithm::Sha512, b"data");
    let packets = [other, signed(&KEY, HashAlgorithm::Sha512, b"data")].concat();
    assert!(ring(&KEY).verify(&packets, b"data", NOW_S).is_ok());
}

#[test]
fn no_single_change_of_data_or_signature_counts() {
    let packets = signed(&KEY, HashAlgorithm::Sha256, b"data");
    let ring = ring(&KEY);
    assert_eq!(ring.verify(&packets, b"dat1", NOW_S), Err(SignatureProblem::Bad));
    let signer = ring.verify(&packets, b"data", NOW_S).unwrap();
    for at in 0..packets.len() {
        {
            let bit = at % 8;
            let mut changed = packets.clone();
            changed[at] ^= 1 << bit;
            // What no signature covers (the packet's header, unhashed subpackets) may change and does
            // not change what is said.
            if let Ok(said) = ring.verify(&changed, b"data", NOW_S) {
                assert_eq!(said, signer, "octet {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn weak_algorithms_do_not_count() {
    // Version 4, over octets, EdDSA, SHA-256; the digest's number alone is changed to SHA-1's.
    let mut packets = signed(&KEY, HashAlgorithm::Sha256, b"data");
    let at = packets.windows(4).position(|octets| octets == [4, 0, 22, 8]).unwrap();
    packets[at + 3] = 2;
    let told = ring(&KEY).verify(&packets, b"data", NOW_S);
    assert_eq!(told, Err(SignatureProblem::Weak));
}

#[test]
fn a_signature_from_the_future_does_not_count() {
    let packets = signed(&KEY, HashAlgorithm::Sha256, b"data");
    assert_eq!(ring(&KEY).verify(&packets, b"data", 1000), Err(SignatureProblem::Expired));
}

#[test]
fn a_key_that_may_not_sign_is_not_pinned() {
    let mut key = SecretKeyParamsBuilder::default();
    key.key_type(KeyType::Ed25519Legacy).can_certify(true).primary_user_id("C".into());
    let key = key.build().unwrap().generate(rand::thread_rng()).unwrap();
    let told = Keyring::read(&key.to_public_key().to_bytes().unwrap());
    assert_eq!(told.err(), Some(KeyringProblem::NoSigningKey));
    assert_eq!(Keyring::read(b"nothing").err(), Some(KeyringProblem::Malformed));
}

proptest::proptest! {
    #[test]
    fn no_signature_or_keyring_panics(octets: Vec<u8>) {
        let _ = ring(&KEY).verify(&octets, b"data", NOW_S);
        let _ = Keyring::read(&octets);
    }
}
