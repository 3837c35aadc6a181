//! Lists of files in mtree(5)'s form, as Arch's `.MTREE` and pacman's database have them.

use std::io::Read;

use crate::bounds;
use crate::decompress;
use crate::refusal::Refusal;
use crate::rpm::decode_hex;
use crate::statement::File;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::absolute;
use crate::tar::decimal;

const REGULAR: u32 = 0o100_000;

/// What `/set` says for the lines after it, or a line for itself.
#[derive(Clone, Copy, Default)]
struct Keywords<'a> {
    kind: Option<&'a [u8]>,
    mode: Option<u32>,
    size: Option<u64>,
    sha256: Option<&'a [u8]>,
    link: Option<&'a [u8]>,
}

/// Says every file that has a SHA-256.
pub fn files(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut text = Vec::new();
    decompress::reader(input)?.take(bounds::INDEX as u64 + 1).read_to_end(&mut text)?;
    if text.len() > bounds::INDEX {
        return Err(Refusal::Bound);
    }
    if !text.starts_with(b"#mtree") {
        return Err(Refusal::Magic);
    }
    let mut defaults = Keywords::default();
    for line in text.split(|octet| *octet == b'\n') {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match words.next() {
            None => {}
            Some(word) if word.starts_with(b"#") => {}
            Some(b"/set") => defaults.read(words)?,
            Some(b"/unset") => defaults = Keywords::default(),
            Some(name) => {
                let mut keywords = defaults;
                keywords.read(words)?;
                keywords.say(&absolute(&unescaped(name)?)?, sink)?;
            }
        }
    }
    Ok(())
}

impl<'a> Keywords<'a> {
    fn read(&mut self, words: impl Iterator<Item = &'a [u8]>) -> Result<(), Refusal> {
        for word in words {
            let equals = word.iter().position(|octet| *octet == b'=').ok_or(Refusal::Malformed)?;
            let value = &word[equals + 1..];
            match &word[..equals] {
                b"type" => self.kind = Some(value),
                b"mode" => self.mode = Some(octal(value)?),
                b"size" => self.size = Some(decimal(value)?),
                b"sha256digest" | b"sha256" => self.sha256 = Some(value),
                b"link" => self.link = Some(value),
                _ => {}
            }
        }
        Ok(())
    }

    fn say(&self, path: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
        // pacman's own files stand in its lists; they are not installed.
        if path.starts_with(b"/.") && !path[1..].contains(&b'/') {
            return Ok(());
        }
        let Some(hex) = self.sha256.filter(|_| self.kind == Some(b"file")) else {
            let target = self.link.map(unescaped).transpose()?.unwrap_or_default();
            return sink.say(&Statement::Other { path, target: &target });
        };
        let mut digest = Vec::new();
        decode_hex(hex, &mut digest)?;
        sink.say(&Statement::File(File {
            path,
            algorithm: 8,
            digest: &digest,
            mode: self.mode.map(|mode| REGULAR | mode),
            size: self.size,
            flags: 0,
        }))
    }
}

fn octal(digits: &[u8]) -> Result<u32, Refusal> {
    let text = std::str::from_utf8(digits).map_err(|_| Refusal::Malformed)?;
    u32::from_str_radix(text, 8).map_err(|_| Refusal::Malformed)
}

/// A name with `\ooo` for octets that would part words.
fn unescaped(name: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (mut plain, mut rest) = (Vec::with_capacity(name.len()), name);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            plain.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(3).ok_or(Refusal::Malformed)?;
        plain.push(u8::try_from(octal(digits)?).map_err(|_| Refusal::Malformed)?);
        rest = after;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Said(Vec<String>);

    impl Sink for Said {
        fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
            self.0.push(match statement {
                Statement::File(file) => {
                    format!("{} {:o}", String::from_utf8_lossy(file.path), file.mode.unwrap_or(0))
                }
                Statement::Other { path, target } => {
                    format!(
                        "{} -> {}",
                        String::from_utf8_lossy(path),
                        String::from_utf8_lossy(target)
                    )
                }
                _ => String::new(),
            });
            Ok(())
        }
    }

    #[test]
    fn defaults_and_escapes_are_read() {
        let text = format!(
            "#mtree\n/set type=file uid=0 mode=644\n./.PKGINFO sha256digest={0}\n\
             ./usr mode=755 type=dir\n./usr/a\\040b mode=755 sha256digest={0}\n\
             ./usr/c sha256digest={0}\n./usr/d type=link link=a\\040b\n",
            "00".repeat(32)
        );
        let mut said = Said(Vec::new());
        files(&mut text.as_bytes(), &mut said).unwrap();
        let all = ["/usr -> ", "/usr/a b 100755", "/usr/c 100644", "/usr/d -> a b"];
        assert_eq!(said.0, all);
        assert_eq!(files(&mut &b"x"[..], &mut said), Err(Refusal::Magic));
    }
}
