//! Files that an RPM package carries IMA's signatures of.

use crate::fixture::FIXTURE;
use crate::rpm::read;
use ima_format::Algorithm;
use ima_format::signature::PrivateKey;
use reference_formats::Refusal;
use references::problem::Problem;

const LEAD: usize = 96;
const FILE_SIGNATURES: u32 = 274;

/// The package with another entry, of strings, in its signature header. Debian's rpmsign has no `--signfiles`.
fn with_strings(package: &[u8], tag: u32, strings: &[String]) -> Vec<u8> {
    let number = |at: usize| u32::from_be_bytes(package[at..at + 4].try_into().unwrap()) as usize;
    let (entries, length) = (number(LEAD + 8), number(LEAD + 12));
    let index = &package[LEAD + 16..LEAD + 16 + 16 * entries];
    let data = &package[LEAD + 16 + 16 * entries..LEAD + 16 + 16 * entries + length];
    let header = 16 + 16 * entries + length;
    let rest = &package[LEAD + header.next_multiple_of(8)..];
    let numbers = |all: &[u32]| all.iter().flat_map(|one| one.to_be_bytes()).collect::<Vec<_>>();
    // After the others, before the region's trailer.
    let own: Vec<u8> = strings.iter().flat_map(|one| [one.as_bytes(), &[0]].concat()).collect();
    let trailer = length - 16;
    let all = entries as u32 + 1;
    let region = numbers(&[62, 7, (trailer + own.len()) as u32, 16]);
    let entry = numbers(&[tag, 8, trailer as u32, strings.len() as u32]);
    let end = numbers(&[62, 7, (-16 * all as i32) as u32, 16]);
    let lengths = numbers(&[all, (length + own.len()) as u32]);
    let parts = [
        &package[LEAD..LEAD + 8],
        &lengths,
        &region,
        &index[16..],
        &entry,
        &data[..trailer],
        &own,
        &end,
    ];
    let mut signatures = parts.concat();
    signatures.resize(signatures.len().next_multiple_of(8), 0);
    [&package[..LEAD], &signatures, rest].concat()
}

#[test]
fn signatures_for_ima_come_with_their_files_and_verify_themselves() {
    let package = FIXTURE.read("rsa.rpm");
    let keys = FIXTURE.keys(&["rsa"]);
    let plain = read(&package, &keys).unwrap();
    assert!(plain.references.iter().all(|one| one.ima_signature.is_none()));
    let folder = tempfile::tempdir().unwrap();
    FIXTURE.run_in(folder.path(), "openssl", &["genrsa", "-out", "key.pem", "2048"]);
    let pem = std::fs::read_to_string(folder.path().join("key.pem")).unwrap();
    let key = PrivateKey::from_pem(&pem).unwrap();
    // In the order of the package, as rpm lists it.
    let listing = FIXTURE.run("rpm", &["-qp", "--nosignature", "--dump", "rsa.rpm"]);
    let value = |line: &str| {
        let path = line.split(' ').next().unwrap();
        let file = plain.references.iter().find(|one| *one.path == *path.as_bytes());
        let signed = file.map(|one| key.sign(Algorithm::Sha256, one.digest.octets()).unwrap());
        ima_format::hex(&signed.unwrap_or_default())
    };
    let values: Vec<String> = listing.lines().map(value).collect();
    assert!(values.iter().any(String::is_empty), "a link has no signature");

    let signed = with_strings(&package, FILE_SIGNATURES, &values);
    let reading = read(&signed, &keys).unwrap();
    assert_eq!(reading.references.len(), plain.references.len());
    for reference in &reading.references {
        let value = reference.ima_signature.as_deref().unwrap();
        assert_eq!(key.public().verify(value, reference.digest.octets()), Ok(()));
        let line = reference.to_json_line();
        assert_eq!(&references::Reference::from_json_line(&line, None).unwrap(), reference);
    }
    // Those of other files are told as they stand: they verify nothing.
    let mut swapped = values.clone();
    swapped.rotate_left(1);
    let reading = read(&with_strings(&package, FILE_SIGNATURES, &swapped), &keys).unwrap();
    let holds = |one: &references::Reference| {
        let value = one.ima_signature.as_deref().unwrap_or_default();
        key.public().verify(value, one.digest.octets()).is_ok()
    };
    assert!(!reading.references.iter().all(holds));
    for (strings, why) in [
        (&values[1..], Refusal::Inconsistent),
        (&["zz".to_owned()][..], Refusal::Malformed),
        (&["00".repeat(5000)][..], Refusal::Bound),
    ] {
        let told = read(&with_strings(&package, FILE_SIGNATURES, strings), &keys);
        assert!(matches!(&told, Err(Problem::Refused(refusal)) if *refusal == why), "{told:?}");
    }
}
