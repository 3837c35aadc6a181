//! The rpm database: each header as it was installed, and the signatures that came with it.

use super::header::Header;
use super::header::Kind;
use super::signatures::say_signatures;
use crate::cursor::Cursor;
use crate::refusal::Refusal;
use crate::sqlite::Database;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;

/// The table and its column of headers.
const TABLE: &[u8] = b"Packages";
const HEADER_COLUMN: usize = 1;

/// Says every stored header, rebuilt to what was signed, each followed by its signatures.
///
/// A header that is malformed is said as a fact, so that one package does not hide the others.
pub fn database(octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(octets);
    let length = usize::try_from(cursor.le64()?).map_err(|_| Refusal::Bound)?;
    let pages = cursor.take(length)?;
    let database = Database::open(pages, cursor.rest())?;
    database.each_row(TABLE, &mut |row, columns| {
        let blob = columns.octets(HEADER_COLUMN)?.ok_or(Refusal::Missing)?;
        match stored(&blob, sink) {
            Err(Refusal::Output) => Err(Refusal::Output),
            Err(refusal) => {
                let value = format!("{row} {}", refusal as u8);
                sink.say(&Statement::Fact { name: b"refused-header", value: value.as_bytes() })
            }
            Ok(()) => Ok(()),
        }
    })
}

fn stored(blob: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let header = Header::read_bare(blob, Kind::Stored)?;
    sink.say(&Statement::Octets { part: Part::Header, octets: &header.immutable() })?;
    say_signatures(&header, Part::HeaderSignature, sink)
}
