//! Bills of materials with the digests of files: SPDX 2 and 3, `CycloneDX` 1. They vouch only under a signature.

use serde_json::Value;

use crate::bounds;
use crate::oci::json;
use crate::refusal::Refusal;
use crate::rpm::decode_hex;
use crate::statement::File;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::absolute;

/// Names of algorithms as either format writes them (without `-`, in capitals), weakest first, by `OpenPGP`'s number.
const ALGORITHMS: [(&str, u8); 6] =
    [("MD5", 1), ("SHA1", 2), ("SHA224", 11), ("SHA256", 8), ("SHA384", 9), ("SHA512", 10)];

/// Where SPDX 3 documents say what their words mean, up to the minor version.
const SPDX_3: &str = "https://spdx.org/rdf/3.";

/// Says the files of an SPDX document, version 2 or 3.
pub fn spdx(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let document = json(text)?;
    if document.get("@graph").is_some() {
        return spdx_3(&document, sink);
    }
    let version = document.get("spdxVersion").and_then(Value::as_str).ok_or(Refusal::Magic)?;
    if !version.starts_with("SPDX-2.") {
        return Err(Refusal::Unsupported);
    }
    identity(document.get("name"), document.get("documentNamespace"), sink)?;
    for file in list(document.get("files"))? {
        let name = file.get("fileName").and_then(Value::as_str).ok_or(Refusal::Missing)?;
        say_file(name, file.get("checksums"), "algorithm", "checksumValue", sink)?;
    }
    Ok(())
}

/// In SPDX 3 files are elements of a graph. Digests that stand elsewhere in the graph are not looked for: such a
/// file is refused, since it would silently be none.
fn spdx_3(document: &Value, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let context = document.get("@context").and_then(Value::as_str).ok_or(Refusal::Magic)?;
    if !context.starts_with(SPDX_3) {
        return Err(Refusal::Unsupported);
    }
    let graph = list(document.get("@graph"))?;
    let is = |element: &Value, kind| element.get("type").and_then(Value::as_str) == Some(kind);
    let mut documents = graph.iter().filter(|element| is(element, "SpdxDocument"));
    let own = documents.next().ok_or(Refusal::Missing)?;
    if documents.next().is_some() {
        return Err(Refusal::Twice);
    }
    identity(own.get("name"), own.get("spdxId"), sink)?;
    for file in graph.iter().filter(|element| is(element, "software_File")) {
        let name = file.get("name").and_then(Value::as_str).ok_or(Refusal::Missing)?;
        let digests = list(file.get("verifiedUsing"))?;
        if digests.iter().any(|digest| !is(digest, "Hash")) {
            return Err(Refusal::Unsupported);
        }
        say_file(name, file.get("verifiedUsing"), "algorithm", "hashValue", sink)?;
    }
    Ok(())
}

/// Says the components of type `file` of a `CycloneDX` 1 document, nested ones included.
pub fn cyclone_dx(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let document = json(text)?;
    if document.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
        return Err(Refusal::Magic);
    }
    let subject = document.get("metadata").and_then(|metadata| metadata.get("component"));
    let subject = subject.unwrap_or(&Value::Null);
    identity(subject.get("name"), subject.get("version"), sink)?;
    components(document.get("components"), 0, sink)
}

fn components(value: Option<&Value>, depth: usize, sink: &mut dyn Sink) -> Result<(), Refusal> {
    if depth > bounds::DEPTH {
        return Err(Refusal::Bound);
    }
    for component in list(value)? {
        if component.get("type").and_then(Value::as_str) == Some("file") {
            let name = component.get("name").and_then(Value::as_str).ok_or(Refusal::Missing)?;
            say_file(name, component.get("hashes"), "alg", "content", sink)?;
        }
        components(component.get("components"), depth + 1, sink)?;
    }
    Ok(())
}

fn identity(
    name: Option<&Value>,
    version: Option<&Value>,
    sink: &mut dyn Sink,
) -> Result<(), Refusal> {
    let text =
        |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("unnamed").to_owned();
    let (name, version) = (text(name), text(version));
    if name.len() > bounds::WORD || version.len() > bounds::WORD {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Package {
        name: name.as_bytes(),
        version: version.as_bytes(),
        arch: b"all",
    })
}

/// The file with the strongest digest that is stated for it; none is no file for us.
fn say_file(
    name: &str,
    digests: Option<&Value>,
    algorithm: &str,
    digits: &str,
    sink: &mut dyn Sink,
) -> Result<(), Refusal> {
    let mut best: Option<(usize, &str)> = None;
    for one in list(digests)? {
        let word = one.get(algorithm).and_then(Value::as_str).ok_or(Refusal::Missing)?;
        let hex = one.get(digits).and_then(Value::as_str).ok_or(Refusal::Missing)?;
        let plain = word.replace('-', "").to_ascii_uppercase();
        let rank = ALGORITHMS.iter().position(|row| row.0 == plain);
        if rank.is_some_and(|rank| best.is_none_or(|best| best.0 < rank)) {
            best = rank.map(|rank| (rank, hex));
        }
    }
    let Some((rank, hex)) = best else { return Ok(()) };
    let mut digest = Vec::new();
    decode_hex(hex.as_bytes(), &mut digest)?;
    sink.say(&Statement::File(File {
        path: &absolute(name.as_bytes())?,
        algorithm: ALGORITHMS[rank].1,
        digest: &digest,
        mode: None,
        size: None,
        flags: 0,
    }))
}

fn list(value: Option<&Value>) -> Result<&[Value], Refusal> {
    match value {
        None => Ok(&[]),
        Some(value) => match value.as_array() {
            Some(list) if list.len() <= bounds::FILES => Ok(list),
            Some(_) => Err(Refusal::Bound),
            None => Err(Refusal::Malformed),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(Vec<(String, u8)>);

    impl Sink for Files {
        fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
            if let Statement::File(file) = statement {
                self.0.push((String::from_utf8_lossy(file.path).into(), file.algorithm));
            }
            Ok(())
        }
    }

    #[test]
    fn spdx_files_have_their_strongest_digest() {
        let text = format!(
            r#"{{"spdxVersion":"SPDX-2.3","name":"n","files":[{{"fileName":"./usr/bin/a","checksums":[
            {{"algorithm":"SHA256","checksumValue":"{}"}},{{"algorithm":"SHA1","checksumValue":"{}"}}]}},
            {{"fileName":"./b"}}]}}"#,
            "00".repeat(32),
            "00".repeat(20)
        );
        let mut files = Files(Vec::new());
        spdx(text.as_bytes(), &mut files).unwrap();
        assert_eq!(files.0, [("/usr/bin/a".to_owned(), 8)]);
        assert_eq!(spdx(b"{}", &mut files), Err(Refusal::Magic));
    }

    fn spdx_3_of(context: &str, elements: &str) -> Result<Vec<(String, u8)>, Refusal> {
        let text = format!(r#"{{"@context":"{context}","@graph":[{elements}]}}"#);
        let mut files = Files(Vec::new());
        spdx(text.as_bytes(), &mut files).map(|()| files.0)
    }

    #[test]
    fn spdx_3_files_are_elements_of_the_graph() {
        let context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
        let own = r#"{"type":"SpdxDocument","name":"n","spdxId":"urn:d"}"#;
        let file = format!(
            r#"{{"type":"software_File","name":"./usr/bin/a","verifiedUsing":[
            {{"type":"Hash","algorithm":"sha256","hashValue":"{}"}}]}}"#,
            "00".repeat(32)
        );
        let both = format!("{own},{file}");
        assert_eq!(spdx_3_of(context, &both), Ok(vec![("/usr/bin/a".to_owned(), 8)]));
        assert_eq!(spdx_3_of("https://example.invalid", &both), Err(Refusal::Unsupported));
        assert_eq!(spdx_3_of(context, &file), Err(Refusal::Missing));
        assert_eq!(spdx_3_of(context, &format!("{own},{own}")), Err(Refusal::Twice));
        let elsewhere = r#"{"type":"software_File","name":"a","verifiedUsing":["urn:hash"]}"#;
        let told = spdx_3_of(context, &format!("{own},{elsewhere}"));
        assert_eq!(told, Err(Refusal::Unsupported));
        let outside = file.replace("./usr", "../usr");
        assert_eq!(spdx_3_of(context, &format!("{own},{outside}")), Err(Refusal::Path));
    }

    #[test]
    fn cyclone_dx_files_may_be_nested() {
        let text = format!(
            r#"{{"bomFormat":"CycloneDX","components":[{{"type":"library","name":"l","components":[
            {{"type":"file","name":"/a","hashes":[{{"alg":"SHA-512","content":"{}"}}]}}]}}]}}"#,
            "00".repeat(64)
        );
        let mut files = Files(Vec::new());
        cyclone_dx(text.as_bytes(), &mut files).unwrap();
        assert_eq!(files.0, [("/a".to_owned(), 10)]);
    }
}
