//! Arch Linux: a package is one archive, with `.PKGINFO` in front of what it installs.

use std::io::Read;

use crate::bounds;
use crate::decompress;
use crate::refusal::Refusal;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::statement::flag;
use crate::tar::Archive;
use crate::tar::Entry;
use crate::tar::Kind;
use crate::tar::absolute;
use crate::tree::Tree;

const INFO: &[u8] = b"/.PKGINFO";
const MAX_INFO: u64 = 1 << 20;

/// Says what a package is, and every file with the digest of its contents.
///
/// `.PKGINFO` is the first entry but for other dot files, as makepkg writes it; what comes without is refused.
pub fn package(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut expanded = decompress::reader(input)?;
    let mut archive = Archive::new(&mut expanded);
    let entry = loop {
        let entry = archive.next_entry()?.ok_or(Refusal::Missing)?;
        match entry.path.as_slice() {
            INFO => break entry,
            _ if is_meta(&entry) => {}
            _ => return Err(Refusal::Missing),
        }
    };
    if entry.size > MAX_INFO {
        return Err(Refusal::Bound);
    }
    let mut text = Vec::new();
    archive.read_to_end(&mut text)?;
    let info = Info { text: &text };
    info.say(b"pkgname", b"pkgver", sink)?;
    let backups: Vec<Vec<u8>> = info.all(b"backup").map(absolute).collect::<Result<_, _>>()?;
    let flags = |path: &[u8]| if backups.iter().any(|one| one == path) { flag::CONFIG } else { 0 };
    let tree = Tree { flags: &flags, skip: &is_meta, repeats: false };
    tree.say(&mut archive, sink)
}

/// Says what a package of pacman's local database is, by its `desc`: blocks of a name in `%` and its values.
pub fn installed(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let lines: Vec<&[u8]> = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii).collect();
    let value = |name: &[u8]| {
        let mut found = lines.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1]);
        let first = found.next().filter(|value| !value.is_empty()).ok_or(Refusal::Missing)?;
        if found.next().is_some() { Err(Refusal::Twice) } else { Ok(first) }
    };
    let (name, version, arch) = (value(b"%NAME%")?, value(b"%VERSION%")?, value(b"%ARCH%")?);
    if [name, version, arch].iter().any(|word| word.len() > bounds::WORD) {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Package { name, version, arch })
}

/// Whether an entry belongs to the package itself: a dot file at the top.
pub(crate) fn is_meta(entry: &Entry) -> bool {
    entry.kind == Kind::File && entry.path.starts_with(b"/.") && !entry.path[1..].contains(&b'/')
}

/// Lines of `name = value`.
pub(crate) struct Info<'a> {
    /// All of them.
    pub(crate) text: &'a [u8],
}

impl<'a> Info<'a> {
    pub(crate) fn all(&self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.text.split(|octet| *octet == b'\n').filter_map(move |line| {
            let rest = line.strip_prefix(name)?.trim_ascii_start();
            Some(rest.strip_prefix(b"=")?.trim_ascii())
        })
    }

    /// The one value of that name.
    pub(crate) fn one(&self, name: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let mut all = self.all(name);
        let first = all.next().ok_or(Refusal::Missing)?;
        if all.next().is_some() { Err(Refusal::Twice) } else { Ok(first) }
    }

    pub(crate) fn say(
        &self,
        name: &'a [u8],
        version: &'a [u8],
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        let (name, version) = (self.one(name)?, self.one(version)?);
        sink.say(&Statement::Package { name, version, arch: self.one(b"arch")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Identity(Vec<String>);

    impl Sink for Identity {
        fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
            if let Statement::Package { name, version, arch } = statement {
                let words = [name, version, arch];
                self.0.extend(words.map(|word| String::from_utf8_lossy(word).into_owned()));
            }
            Ok(())
        }
    }

    #[test]
    fn an_installed_package_says_what_it_is_once() {
        let text = "%NAME%\nzlib\n\n%VERSION%\n1:1.3.1-2\n\n%ARCH%\nx86_64\n\n%SIZE%\n1\n";
        let mut said = Identity(Vec::new());
        installed(text.as_bytes(), &mut said).unwrap();
        assert_eq!(said.0, ["zlib", "1:1.3.1-2", "x86_64"]);
        let twice = format!("{text}\n%NAME%\nother\n");
        assert_eq!(installed(twice.as_bytes(), &mut said), Err(Refusal::Twice));
        let without = text.replace("%ARCH%", "%MARCH%");
        assert_eq!(installed(without.as_bytes(), &mut said), Err(Refusal::Missing));
    }
}
