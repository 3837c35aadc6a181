//! Debian packages: an ar archive of a version, a control archive and a data archive, in this order.

use std::collections::BTreeSet;
use std::io::Read;

use crate::bounds;
use crate::decompress;
use crate::paragraphs;
use crate::refusal::Refusal;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::statement::flag;
use crate::tar::Archive;
use crate::tar::absolute;
use crate::tar::decimal;
use crate::tree::Tree;

const MAGIC: &[u8] = b"!<arch>\n";
const MEMBER: usize = 60;
/// The longest file of the control archive that is read.
const MAX_CONTROL: u64 = 8 << 20;

/// Says what a package is, and every file with the digest of its contents.
pub fn package(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(Refusal::Magic);
    }
    let mut version = Member::open(input, b"debian-binary")?;
    let mut text = Vec::new();
    version.contents.read_to_end(&mut text)?;
    if !text.starts_with(b"2.") {
        return Err(Refusal::Unsupported);
    }
    version.close()?;
    let mut control = Member::open(input, b"control.tar")?;
    let conffiles = read_control(&mut control.contents, sink)?;
    control.close()?;
    let mut data = Member::open(input, b"data.tar")?;
    read_data(&mut data.contents, &conffiles, sink)?;
    data.close()
}

/// A member of the ar archive.
struct Member<'a> {
    contents: std::io::Take<&'a mut dyn Read>,
    odd: bool,
}

impl<'a> Member<'a> {
    fn open(input: &'a mut dyn Read, name: &[u8]) -> Result<Self, Refusal> {
        let mut header = [0; MEMBER];
        input.read_exact(&mut header)?;
        if !header.starts_with(name) || &header[58..] != b"`\n" {
            return Err(Refusal::Malformed);
        }
        let size = decimal(header[48..58].trim_ascii_end())?;
        if size > bounds::EXPANDED {
            return Err(Refusal::Bound);
        }
        Ok(Self { contents: input.take(size), odd: size % 2 == 1 })
    }

    /// All of the member was read, and so is the octet that fills it up.
    fn close(self) -> Result<(), Refusal> {
        if self.contents.limit() != 0 {
            return Err(Refusal::Trailing);
        }
        if self.odd {
            // The last member's may be left out.
            let _ = self.contents.into_inner().read(&mut [0])?;
        }
        Ok(())
    }
}

fn read_control(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<BTreeSet<Vec<u8>>, Refusal> {
    let mut expanded = decompress::reader(input)?;
    let mut archive = Archive::new(&mut expanded);
    let (mut control, mut conffiles) = (None, BTreeSet::new());
    while let Some(entry) = archive.next_entry()? {
        let wanted = match entry.path.as_slice() {
            b"/control" if control.is_none() => true,
            b"/control" => return Err(Refusal::Twice),
            b"/conffiles" => true,
            _ => false,
        };
        if !wanted {
            continue;
        }
        if entry.size > MAX_CONTROL {
            return Err(Refusal::Bound);
        }
        let mut text = Vec::new();
        archive.read_to_end(&mut text)?;
        match entry.path.as_slice() {
            b"/control" => control = Some(text),
            _ => conffiles = read_conffiles(&text)?,
        }
    }
    say_package(&control.ok_or(Refusal::Missing)?, sink)?;
    Ok(conffiles)
}

/// One path a line; newer dpkg puts flags before it.
fn read_conffiles(text: &[u8]) -> Result<BTreeSet<Vec<u8>>, Refusal> {
    let lines = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    let path = |line: &[u8]| {
        let start = line.iter().position(|octet| *octet == b'/').ok_or(Refusal::Malformed)?;
        absolute(&line[start..])
    };
    lines.filter(|line| !line.is_empty()).map(path).collect()
}

fn say_package(control: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let paragraph = paragraphs::all(control).next().ok_or(Refusal::Missing)??;
    let field = |name: &[u8]| paragraph.field(name)?.ok_or(Refusal::Missing);
    sink.say(&Statement::Package {
        name: field(b"Package")?,
        version: field(b"Version")?,
        arch: field(b"Architecture")?,
    })
}

fn read_data(
    input: &mut dyn Read,
    conffiles: &BTreeSet<Vec<u8>>,
    sink: &mut dyn Sink,
) -> Result<(), Refusal> {
    let mut expanded = decompress::reader(input)?;
    let flags = |path: &[u8]| if conffiles.contains(path) { flag::CONFIG } else { 0 };
    let tree = Tree { flags: &flags, skip: &|_| false, repeats: false };
    tree.say(&mut Archive::new(&mut expanded), sink)
}
