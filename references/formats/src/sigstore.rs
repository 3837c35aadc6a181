//! Sigstore bundles (version 0.1 to 0.3, JSON), as cosign writes them: what was signed, and by what signature.
//!
//! Nothing is decided here: the bundle is nobody's until the parent has verified the signature with a pinned key.

use serde_json::Value;

use crate::bounds;
use crate::oci::json;
use crate::refusal::Refusal;
use crate::rpm::base64;
use crate::rpm::decode_hex;
use crate::statement::Entry;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;

/// What bundles say that they are, up to the version.
const MEDIA_TYPES: [&str; 2] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.",
    "application/vnd.dev.sigstore.bundle.v0.",
];
/// What cosign's older payloads say that they are.
const SIMPLE_TYPE: &str = "cosign container image signature";
const STATEMENT_TYPES: [&str; 2] =
    ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// SHA-256, by its number in `OpenPGP`.
const SHA256: u8 = 8;
const MAX_SIGNATURES: usize = 16;
const MAX_SUBJECTS: usize = 4096;

/// Whether a media type is that of bundles that are read here.
pub fn is_bundle(media_type: &str) -> bool {
    MEDIA_TYPES.iter().any(|known| media_type.starts_with(known))
}

/// Says a bundle: an envelope's type, payload and signatures, or the digest of what was signed and its signature.
/// A fact `certificate` says that a certificate, and no key, is to verify it.
pub fn bundle(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let bundle = json(text)?;
    let media_type = bundle.get("mediaType").and_then(Value::as_str).ok_or(Refusal::Magic)?;
    if !is_bundle(media_type) {
        return Err(Refusal::Unsupported);
    }
    let material = bundle.get("verificationMaterial").ok_or(Refusal::Missing)?;
    if material.get("certificate").is_some() || material.get("x509CertificateChain").is_some() {
        sink.say(&Statement::Fact { name: b"certificate", value: b"" })?;
    }
    match (bundle.get("dsseEnvelope"), bundle.get("messageSignature")) {
        (Some(envelope), None) => say_envelope(envelope, sink),
        (None, Some(message)) => say_message(message, sink),
        (Some(_), Some(_)) => Err(Refusal::Twice),
        (None, None) => Err(Refusal::Missing),
    }
}

fn say_envelope(envelope: &Value, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let kind = string(envelope, "payloadType")?;
    if kind.len() > bounds::WORD {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Fact { name: b"payload-type", value: kind.as_bytes() })?;
    let payload = base64(string(envelope, "payload")?.as_bytes())?;
    sink.say(&Statement::Octets { part: Part::Signed, octets: &payload })?;
    let signatures = envelope.get("signatures").and_then(Value::as_array);
    let signatures = signatures.ok_or(Refusal::Missing)?;
    if signatures.len() > MAX_SIGNATURES {
        return Err(Refusal::Bound);
    }
    signatures.iter().try_for_each(|one| say_signature(string(one, "sig")?, sink))
}

fn say_message(message: &Value, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let digest = message.get("messageDigest").ok_or(Refusal::Missing)?;
    if string(digest, "algorithm")? != "SHA2_256" {
        return Err(Refusal::Unsupported);
    }
    let octets = base64(string(digest, "digest")?.as_bytes())?;
    say_digest(b"message", &octets, sink)?;
    say_signature(string(message, "signature")?, sink)
}

fn say_signature(text: &str, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let octets = base64(text.as_bytes())?;
    if octets.len() > bounds::SIGNATURE {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Octets { part: Part::Signature, octets: &octets })
}

fn say_digest(name: &[u8], digest: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    if digest.len() != 32 {
        return Err(Refusal::Inconsistent);
    }
    sink.say(&Statement::Entry(Entry {
        name,
        version: b"",
        arch: b"",
        place: b"",
        algorithm: SHA256,
        digest,
        size: None,
    }))
}

/// Says what an in-toto statement states (the type of its predicate) and the SHA-256 of every subject that it states it
/// of; a subject without one is refused.
pub fn subjects(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let statement = json(text)?;
    if !STATEMENT_TYPES.contains(&string(&statement, "_type")?) {
        return Err(Refusal::Unsupported);
    }
    let subjects = statement.get("subject").and_then(Value::as_array).ok_or(Refusal::Missing)?;
    let predicate = statement.get("predicateType").and_then(Value::as_str).unwrap_or_default();
    if subjects.len() > MAX_SUBJECTS || predicate.len() > bounds::WORD {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Fact { name: b"predicate-type", value: predicate.as_bytes() })?;
    let mut octets = Vec::new();
    for subject in subjects {
        let digests = subject.get("digest").ok_or(Refusal::Missing)?;
        decode_hex(string(digests, "sha256")?.as_bytes(), &mut octets)?;
        say_digest(b"subject", &octets, sink)?;
    }
    Ok(())
}

/// Says the digest that one of cosign's older payloads ("simple signing") is about.
pub fn simple_signing(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let payload = json(text)?;
    let critical = payload.get("critical").ok_or(Refusal::Missing)?;
    if string(critical, "type")? != SIMPLE_TYPE {
        return Err(Refusal::Unsupported);
    }
    let image = critical.get("image").ok_or(Refusal::Missing)?;
    let digest = string(image, "docker-manifest-digest")?;
    let mut octets = Vec::new();
    let hex = digest.strip_prefix("sha256:").ok_or(Refusal::Unsupported)?;
    decode_hex(hex.as_bytes(), &mut octets)?;
    say_digest(b"subject", &octets, sink)
}

fn string<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    match value.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::Malformed),
        None => Err(Refusal::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(usize);

    impl Sink for Count {
        fn say(&mut self, _: &Statement<'_>) -> Result<(), Refusal> {
            self.0 += 1;
            Ok(())
        }
    }

    const BUNDLE: &str = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial":{"publicKey":{"hint":"k"}},
        "dsseEnvelope":{"payloadType":"t","payload":"e30=","signatures":[{"sig":"AAAA"}]}}"#;

    #[test]
    fn a_bundle_is_taken_apart_or_refused() {
        let mut said = Count(0);
        bundle(BUNDLE.as_bytes(), &mut said).unwrap();
        assert_eq!(said.0, 3);
        for (what, by, why) in [
            ("bundle.v0.3", "bundle.v1.0", Refusal::Unsupported),
            ("\"mediaType\"", "\"media\"", Refusal::Magic),
            ("verificationMaterial", "material", Refusal::Missing),
            ("dsseEnvelope", "envelope", Refusal::Missing),
            ("\"dsseEnvelope\"", "\"messageSignature\":{},\"dsseEnvelope\"", Refusal::Twice),
            ("e30=", "e3!=", Refusal::Malformed),
            ("\"AAAA\"", "7", Refusal::Malformed),
        ] {
            let changed = BUNDLE.replacen(what, by, 1);
            assert_eq!(bundle(changed.as_bytes(), &mut Count(0)), Err(why), "{changed}");
        }
    }

    #[test]
    fn every_subject_has_its_digest() {
        let digest = "ab".repeat(32);
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{digest}"}}}}]}}"#
        );
        let mut said = Count(0);
        subjects(text.as_bytes(), &mut said).unwrap();
        // What is stated, and of what.
        assert_eq!(said.0, 2);
        let short = text.replace(&digest, &digest[2..]);
        assert_eq!(subjects(short.as_bytes(), &mut said), Err(Refusal::Inconsistent));
        let other = text.replace("sha256", "sha1");
        assert_eq!(subjects(other.as_bytes(), &mut said), Err(Refusal::Missing));
    }

    #[test]
    fn an_older_payload_is_read_or_refused() {
        let payload = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"x"}},"image":{{"docker-manifest-digest":"sha256:{}"}},
            "type":"cosign container image signature"}},"optional":null}}"#,
            "ab".repeat(32)
        );
        let mut said = Count(0);
        simple_signing(payload.as_bytes(), &mut said).unwrap();
        assert_eq!(said.0, 1);
        for (what, by, why) in [
            ("cosign container", "another", Refusal::Unsupported),
            ("sha256:ab", "sha512:ab", Refusal::Unsupported),
            ("sha256:ab", "sha256:", Refusal::Inconsistent),
            ("docker-manifest-digest", "digest", Refusal::Missing),
            ("critical", "optional", Refusal::Missing),
        ] {
            let changed = payload.replacen(what, by, 1);
            assert_eq!(simple_signing(changed.as_bytes(), &mut Count(0)), Err(why), "{changed}");
        }
    }
}
