//! The main header of a package: what it is, and its files.

use std::io::Write as _;

use super::header::Header;
use super::header::Kind;
use super::tag;
use crate::bounds;
use crate::refusal::Refusal;
use crate::statement::File;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::statement::flag;

/// MD5, when a package names no algorithm.
const DEFAULT_ALGORITHM: u32 = 1;

/// Says package, payload digest and files of a main header.
pub fn package(octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let header = Header::read(octets, Kind::Main)?;
    identity(&header, sink)?;
    payload(&header, sink)?;
    files(&header, sink)
}

fn identity(header: &Header<'_>, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let word = |tag| -> Result<&[u8], Refusal> {
        let word = header.string(tag)?.ok_or(Refusal::Missing)?;
        if word.len() > bounds::WORD / 4 { Err(Refusal::Bound) } else { Ok(word) }
    };
    let mut version = Vec::new();
    if let Some(epoch) = header.int32s(tag::EPOCH)?.and_then(|mut numbers| numbers.next()) {
        write!(version, "{epoch}:")?;
    }
    version.extend_from_slice(word(tag::VERSION)?);
    version.push(b'-');
    version.extend_from_slice(word(tag::RELEASE)?);
    // A source package carries the architecture it was made on, and installs nothing.
    // The keys that rpm stores as packages have no architecture at all.
    let arch = match (header.has(tag::SOURCE_RPM)?, header.has(tag::ARCH)?) {
        (_, false) => b"(none)",
        (true, true) => word(tag::ARCH)?,
        (false, true) => b"src",
    };
    sink.say(&Statement::Package { name: word(tag::NAME)?, version: &version, arch })
}

fn payload(header: &Header<'_>, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let Some(digest) = header.string(tag::PAYLOAD_DIGEST)? else { return Ok(()) };
    let algorithm = header.int32s(tag::PAYLOAD_DIGEST_ALGORITHM)?.and_then(|mut all| all.next());
    let mut value = Vec::new();
    write!(value, "{}:", algorithm.unwrap_or(8))?;
    value.extend_from_slice(digest);
    sink.say(&Statement::Fact { name: b"payload-digest", value: &value })
}

fn files(header: &Header<'_>, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let Some(names) = header.strings(tag::BASE_NAMES)? else {
        // Packages without files have none of the tags; old ones with full names are not read.
        let old = header.has(tag::OLD_FILE_NAMES)?;
        return if old { Err(Refusal::Unsupported) } else { Ok(()) };
    };
    let count = names.len();
    let directories: Vec<&[u8]> =
        header.strings(tag::DIR_NAMES)?.ok_or(Refusal::Missing)?.collect();
    let indexes = header.int32s(tag::DIR_INDEXES)?.ok_or(Refusal::Missing)?;
    let digests = header.strings(tag::FILE_DIGESTS)?.ok_or(Refusal::Missing)?;
    let targets = header.strings(tag::FILE_LINK_TARGETS)?.ok_or(Refusal::Missing)?;
    let modes = header.int16s(tag::FILE_MODES)?.ok_or(Refusal::Missing)?;
    let flags = header.int32s(tag::FILE_FLAGS)?.ok_or(Refusal::Missing)?;
    let same = [indexes.len(), digests.len(), targets.len(), modes.len(), flags.len()];
    if count > bounds::FILES {
        return Err(Refusal::Bound);
    }
    if same.iter().any(|other| *other != count) {
        return Err(Refusal::Inconsistent);
    }
    let sizes = sizes(header, count)?;
    let verify = verify_flags(header, count)?;
    let algorithm = header.int32s(tag::FILE_DIGEST_ALGORITHM)?.and_then(|mut all| all.next());
    let algorithm = u8::try_from(algorithm.unwrap_or(DEFAULT_ALGORITHM));
    let algorithm = algorithm.map_err(|_| Refusal::Unsupported)?;
    let rows = names.zip(indexes).zip(digests).zip(targets).zip(modes).zip(flags);
    let (mut path, mut digest) = (Vec::new(), Vec::new());
    for (number, (((((name, index), hex), target), mode), bits)) in rows.enumerate() {
        let directory = directories.get(index as usize).ok_or(Refusal::Inconsistent)?;
        absolute(directory, name, &mut path)?;
        if hex.is_empty() {
            let target = if mode & 0o170_000 == 0o120_000 { target } else { b"" };
            other(&path, target, sink)?;
            continue;
        }
        decode_hex(hex, &mut digest)?;
        sink.say(&Statement::File(File {
            path: &path,
            algorithm,
            digest: &digest,
            mode: Some(u32::from(mode)),
            size: Some(sizes(number)),
            flags: flags_of(bits, verify(number)),
        }))?;
    }
    Ok(())
}

fn other(path: &[u8], target: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    if target.len() > bounds::PATH {
        return Err(Refusal::Path);
    }
    sink.say(&Statement::Other { path, target })
}

/// Sizes by number, from the tag of 64 bits or the one of 32.
fn sizes<'a>(
    header: &Header<'a>,
    count: usize,
) -> Result<impl Fn(usize) -> u64 + use<'a>, Refusal> {
    let all: Vec<u64> = match header.int64s(tag::LONG_FILE_SIZES)? {
        Some(sizes) => sizes.collect(),
        None => match header.int32s(tag::FILE_SIZES)? {
            Some(sizes) => sizes.map(u64::from).collect(),
            None => return Err(Refusal::Missing),
        },
    };
    if all.len() == count { Ok(move |number| all[number]) } else { Err(Refusal::Inconsistent) }
}

fn verify_flags<'a>(
    header: &Header<'a>,
    count: usize,
) -> Result<impl Fn(usize) -> u32 + use<'a>, Refusal> {
    let all: Vec<u32> = match header.int32s(tag::FILE_VERIFY_FLAGS)? {
        Some(flags) if flags.len() == count => flags.collect(),
        Some(_) => return Err(Refusal::Inconsistent),
        None => vec![u32::MAX; count],
    };
    Ok(move |number| all[number])
}

/// Directory and name make an absolute path without `.` or `..`. Source packages have bare names.
fn absolute(directory: &[u8], name: &[u8], path: &mut Vec<u8>) -> Result<(), Refusal> {
    path.clear();
    if !directory.starts_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(directory);
    path.extend_from_slice(name);
    let plain = |part: &[u8]| part != b"." && part != b"..";
    let usable = path.len() <= bounds::PATH && path.split(|octet| *octet == b'/').all(plain);
    if usable && !name.contains(&b'/') { Ok(()) } else { Err(Refusal::Path) }
}

fn flags_of(bits: u32, verify: u32) -> u8 {
    [
        (bits & tag::FLAG_CONFIG != 0, flag::CONFIG),
        (bits & tag::FLAG_DOC != 0, flag::DOC),
        (bits & tag::FLAG_GHOST != 0, flag::GHOST),
        (bits & tag::FLAG_LICENSE != 0, flag::LICENSE),
        (verify & tag::VERIFY_DIGEST == 0, flag::NO_VERIFY),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, bit)| flags | bit)
}

/// Octets from pairs of hexadecimal digits, at most 64.
pub(crate) fn decode_hex(digits: &[u8], octets: &mut Vec<u8>) -> Result<(), Refusal> {
    if digits.len() > 128 || !digits.len().is_multiple_of(2) {
        return Err(Refusal::Malformed);
    }
    octets.clear();
    for pair in digits.chunks_exact(2) {
        let high = (pair[0] as char).to_digit(16).ok_or(Refusal::Malformed)?;
        let low = (pair[1] as char).to_digit(16).ok_or(Refusal::Malformed)?;
        octets.push((high << 4 | low) as u8);
    }
    Ok(())
}
