//! RPM: package files and the rpm database.
//!
//! The signature covers the main header, which states the digests. What comes before it in a file, and what
//! stands outside its region in the database, is covered by nothing: it is read by a parser whose word is
//! only taken for what verifies itself.

use std::fs::File;
use std::io::Cursor;
use std::io::Read;
use std::path::Path;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::rpm::MAX_HEADER;
use reference_formats::rpm::MAX_SIGNATURE_HEADER;
use reference_formats::statement::Part;
use sha2::Sha256;
use sha2::Sha512;

use crate::digest::decode_hex;
use crate::digest::encode_hex;
use crate::openpgp::Keyring;
use crate::openpgp::SignatureProblem;
use crate::problem::NotVouched;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Format;
use crate::record::Signer;
use crate::record::Verified;
use crate::statements::Collector;
use crate::statements::PackageReading;

const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// Magic number, version and the two lengths.
const INTRODUCTION: usize = 16;
const ENTRY: usize = 16;

/// Where rpm keeps its database, newest place first.
pub const DATABASES: &[&str] = &["usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"];

/// Reads a package file whole: signature, header and the digest of its payload.
pub fn package(
    file: &mut dyn Read,
    keys: &Keyring,
    now_s: u64,
    readers: &mut Readers,
) -> Result<PackageReading, Problem> {
    let (signatures, header) = headers(file)?;
    let (packets, file_signatures) = signatures_of(&signatures, readers)?;
    let signer = keys.verify(&packets, &header, now_s)?;
    let mut collector = read_header(&header, Domain::Signer(&signer.key), readers)?;
    check_payload(file, collector.fact(b"payload-digest"))?;
    collector.sign_files(file_signatures)?;
    collector.finish(Format::Rpm, Verified::Header, Some(signer))
}

/// The signature header and the main header, by the lengths that they state. The file is left at its payload.
fn headers(file: &mut dyn Read) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let lead = exactly(file, LEAD)?;
    if lead[..4] != LEAD_MAGIC {
        return Err(Refusal::Magic.into());
    }
    let signatures = header(file, MAX_SIGNATURE_HEADER)?;
    exactly(file, signatures.len().next_multiple_of(8) - signatures.len())?;
    Ok((signatures, header(file, MAX_HEADER)?))
}

fn header(file: &mut dyn Read, bound: usize) -> Result<Vec<u8>, Problem> {
    let mut octets = exactly(file, INTRODUCTION)?;
    let number = |at: usize| {
        let octets = [octets[at], octets[at + 1], octets[at + 2], octets[at + 3]];
        u32::from_be_bytes(octets) as usize
    };
    let length = number(8).saturating_mul(ENTRY).saturating_add(number(12));
    if INTRODUCTION + length > bound {
        return Err(Refusal::Bound.into());
    }
    octets.extend(exactly(file, length)?);
    Ok(octets)
}

fn exactly(file: &mut dyn Read, count: usize) -> Result<Vec<u8>, Problem> {
    // Not allocated by what is stated, but by what is there.
    let mut octets = Vec::new();
    let read = file.take(count as u64).read_to_end(&mut octets);
    match read {
        Ok(all) if all == count => Ok(octets),
        Ok(_) => Err(Refusal::Truncated.into()),
        Err(error) => Err(crate::worker::WorkerProblem::Pipe(error).into()),
    }
}

/// The signature packets of a signature header, and IMA's signatures of files, as a parser finds them that nobody
/// believes.
fn signatures_of(header: &[u8], readers: &mut Readers) -> Result<(Vec<u8>, Vec<Vec<u8>>), Problem> {
    let (mut packets, mut of_files) = (Vec::new(), Vec::new());
    readers.ask(Domain::Unverified, Job::RpmSignatures, &mut &*header, &mut |statement| {
        match statement {
            Statement::Octets { part: Part::Signature, octets } => {
                packets.extend_from_slice(octets);
            }
            Statement::Fact { name: b"file-signature", value } => {
                of_files.push(file_signature(value)?);
            }
            _ => return Err(Refusal::Malformed.into()),
        }
        Ok(())
    })?;
    Ok((packets, of_files))
}

fn file_signature(hex: &[u8]) -> Result<Vec<u8>, Refusal> {
    decode_hex(hex).ok_or(Refusal::Malformed)
}

fn read_header(
    header: &[u8],
    domain: Domain<'_>,
    readers: &mut Readers,
) -> Result<Collector, Problem> {
    let mut collector = Collector::default();
    readers.ask(domain, Job::RpmHeader, &mut &*header, &mut |said| collector.hear(said))?;
    Ok(collector)
}

/// The payload has the digest that the signed header states; old packages state none.
fn check_payload(payload: &mut dyn Read, stated: Option<&[u8]>) -> Result<(), Problem> {
    let Some(stated) = stated else { return Ok(()) };
    let computed = match stated.split(|octet| *octet == b':').next() {
        Some(b"8") => format!("8:{}", encode_hex(&hash::<Sha256>(payload)?)),
        Some(b"10") => format!("10:{}", encode_hex(&hash::<Sha512>(payload)?)),
        _ => return Err(Refusal::Unsupported.into()),
    };
    let same = stated.eq_ignore_ascii_case(computed.as_bytes());
    if same { Ok(()) } else { Err(Problem::Changed("payload")) }
}

fn hash<H: sha2::Digest>(payload: &mut dyn Read) -> Result<Vec<u8>, Problem> {
    let mut hasher = H::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match payload.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_vec()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(crate::worker::WorkerProblem::Pipe(error).into()),
        }
    }
}

/// A header of the database, rebuilt to what was signed, with the signatures that came with it.
#[derive(Clone, Debug, Default)]
pub struct StoredHeader {
    header: Vec<u8>,
    signatures: Vec<u8>,
    file_signatures: Vec<Vec<u8>>,
}

/// Takes the stored headers out of a database and hands each to `each`, with the rows that hold none. Nothing is
/// verified yet: what was handed over is worth as much as its own signature, and the whole only if this returns without an
/// error.
pub fn database(
    path: &Path,
    readers: &mut Readers,
    each: &mut dyn FnMut(StoredHeader),
) -> Result<Vec<(String, Refusal)>, Problem> {
    let pages = File::open(path).map_err(Problem::file(path))?;
    let length = pages.metadata().map_err(Problem::file(path))?.len();
    let log = read_log(path)?;
    let pages = pages.take(length);
    let mut input = Cursor::new(length.to_le_bytes()).chain(pages).chain(Cursor::new(log));
    let mut stored = StoredHeaders { each, last: None, refused: Vec::new() };
    let domain = Domain::Unverified;
    readers.ask(domain, Job::RpmDatabase, &mut input, &mut |said| stored.hear(said))?;
    stored.hand_over();
    Ok(stored.refused)
}

fn read_log(path: &Path) -> Result<Vec<u8>, Problem> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let path = Path::new(&name);
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(Problem::file(path)),
    }
}

/// Hears of a database: a header, what belongs to it, the next header.
struct StoredHeaders<'e> {
    each: &'e mut dyn FnMut(StoredHeader),
    last: Option<StoredHeader>,
    /// Rows that hold no header, and why.
    refused: Vec<(String, Refusal)>,
}

impl StoredHeaders<'_> {
    fn hand_over(&mut self) {
        if let Some(whole) = self.last.take() {
            (self.each)(whole);
        }
    }

    fn hear(&mut self, statement: &Statement<'_>) -> Result<(), Problem> {
        match statement {
            Statement::Octets { part: Part::Header, octets } => {
                self.hand_over();
                self.last = Some(StoredHeader { header: octets.to_vec(), ..Default::default() });
            }
            Statement::Octets { part: Part::HeaderSignature, octets } => {
                let last = self.last.as_mut().ok_or(Refusal::Malformed)?;
                last.signatures.extend_from_slice(octets);
            }
            Statement::Fact { name: b"file-signature", value } => {
                let last = self.last.as_mut().ok_or(Refusal::Malformed)?;
                last.file_signatures.push(file_signature(value)?);
            }
            Statement::Fact { name: b"refused-header", value } => {
                let value = crate::statements::text(value)?;
                let (row, code) = value.split_once(' ').ok_or(Refusal::Malformed)?;
                let code = code.parse().map_err(|_| Refusal::Malformed)?;
                self.refused.push((format!("row {row}"), Refusal::from_code(code)));
            }
            _ => return Err(Refusal::Malformed.into()),
        }
        Ok(())
    }
}

impl StoredHeader {
    /// Verifies and reads it. `None` for a package without files whose signature nobody needs: the keys that
    /// rpm stores as packages.
    pub fn read(
        &self,
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<Option<PackageReading>, NotVouched> {
        let signer = match keys.verify(&self.signatures, &self.header, now_s) {
            Ok(signer) => signer,
            Err(problem) => return self.named(problem, readers),
        };
        let reading = self.read_signed(signer, readers);
        reading.map(Some).map_err(|why| NotVouched { what: "a stored header".to_owned(), why })
    }

    fn read_signed(
        &self,
        signer: Signer,
        readers: &mut Readers,
    ) -> Result<PackageReading, Problem> {
        let mut collector = read_header(&self.header, Domain::Signer(&signer.key), readers)?;
        collector.sign_files(self.file_signatures.clone())?;
        collector.finish(Format::Rpm, Verified::Header, Some(signer))
    }

    /// What is not vouched for is at least called by the name that it gives itself.
    fn named(
        &self,
        problem: SignatureProblem,
        readers: &mut Readers,
    ) -> Result<Option<PackageReading>, NotVouched> {
        let collector = read_header(&self.header, Domain::Unverified, readers);
        let what = match collector {
            Ok(collector) if collector.files() == 0 => return Ok(None),
            Ok(collector) => collector.name(),
            Err(_) => None,
        };
        let what = what.unwrap_or_else(|| "a stored header".to_owned());
        Err(NotVouched { what, why: problem.into() })
    }
}
