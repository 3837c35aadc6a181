//! Plain lists of digests and paths, as `sha256sum` and its kin write them, and dpkg's `md5sums`.

use crate::bounds;
use crate::refusal::Refusal;
use crate::rpm::decode_hex;
use crate::statement::File;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::absolute;

/// Says every file of a list. The algorithm follows from the digest's length, or from the name before it.
pub fn files(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut digest = Vec::new();
    let lines =
        text.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (count, line) in lines.filter(|line| !line.is_empty()).enumerate() {
        if count > bounds::FILES {
            return Err(Refusal::Bound);
        }
        let (hex, name) = tagged(line).or_else(|| plain(line)).ok_or(Refusal::Malformed)?;
        decode_hex(hex, &mut digest)?;
        sink.say(&Statement::File(File {
            path: &absolute(name)?,
            algorithm: algorithm(digest.len())?,
            digest: &digest,
            mode: None,
            size: None,
            flags: 0,
        }))?;
    }
    Ok(())
}

/// `<digest>  <path>` or `<digest> *<path>`.
fn plain(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // A name with a line end or backslash is escaped by these tools; such a list is refused.
    let space = line.iter().position(|octet| *octet == b' ')?;
    let (hex, rest) = line.split_at(space);
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    (!hex.is_empty() && !hex.starts_with(b"\\")).then_some((hex, name))
}

/// `SHA256 (<path>) = <digest>`.
fn tagged(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let open = line.windows(2).position(|pair| pair == b" (")?;
    let close = line.windows(4).rposition(|four| four == b") = ")?;
    let known = [&b"SHA256"[..], b"SHA384", b"SHA512", b"MD5", b"SHA1"].contains(&&line[..open]);
    known.then(|| Some((line.get(close + 4..)?, line.get(open + 2..close)?)))?
}

/// By the number that `OpenPGP` has for it.
pub(crate) fn algorithm(octets: usize) -> Result<u8, Refusal> {
    match octets {
        16 => Ok(1),
        20 => Ok(2),
        32 => Ok(8),
        48 => Ok(9),
        64 => Ok(10),
        _ => Err(Refusal::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Paths(Vec<(Vec<u8>, u8)>);

    impl Sink for Paths {
        fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
            if let Statement::File(file) = statement {
                self.0.push((file.path.to_vec(), file.algorithm));
            }
            Ok(())
        }
    }

    #[test]
    fn all_three_forms_are_read() {
        let text = format!(
            "{}  usr/bin/a\n{} */b\nSHA512 (c (1)) = {}\n",
            "00".repeat(16),
            "11".repeat(32),
            "22".repeat(64)
        );
        let mut paths = Paths(Vec::new());
        files(text.as_bytes(), &mut paths).unwrap();
        let expected = [(&b"/usr/bin/a"[..], 1), (b"/b", 8), (b"/c (1)", 10)];
        assert!(paths.0.iter().map(|(path, kind)| (path.as_slice(), *kind)).eq(expected));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["x", "00  a", "zz  a", "../a", "\\00  a"] {
            assert!(files(text.as_bytes(), &mut Paths(Vec::new())).is_err(), "{text}");
        }
        let up = format!("{}  ../a", "00".repeat(32));
        assert_eq!(files(up.as_bytes(), &mut Paths(Vec::new())), Err(Refusal::Path));
    }
}
