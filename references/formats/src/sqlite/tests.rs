use super::*;
use proptest::prelude::*;

/// A database of two pages: the schema with one table, and its rows.
fn small(rows: &[&[u8]]) -> Vec<u8> {
    let mut first = vec![0; 512];
    first[..16].copy_from_slice(MAGIC);
    first[16..18].copy_from_slice(&512u16.to_be_bytes());
    let schema = record(&[text(b"table"), text(b"t"), text(b"t"), (1, vec![2]), text(b"")]);
    leaf(&mut first, FILE_HEADER, &[schema]);
    let mut second = vec![0; 512];
    let rows: Vec<_> = rows.iter().map(|row| record(&[(0, vec![]), blob(row)])).collect();
    leaf(&mut second, 0, &rows);
    [first, second].concat()
}

fn text(octets: &[u8]) -> (u8, Vec<u8>) {
    (13 + 2 * octets.len() as u8, octets.to_vec())
}

fn blob(octets: &[u8]) -> (u8, Vec<u8>) {
    (12 + 2 * octets.len() as u8, octets.to_vec())
}

fn record(columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut octets = vec![columns.len() as u8 + 1];
    octets.extend(columns.iter().map(|column| column.0));
    octets.extend(columns.iter().flat_map(|column| column.1.clone()));
    octets
}

fn leaf(page: &mut [u8], start: usize, rows: &[Vec<u8>]) {
    page[start] = LEAF;
    page[start + 3..start + 5].copy_from_slice(&(rows.len() as u16).to_be_bytes());
    let mut end = page.len();
    for (number, row) in rows.iter().enumerate() {
        let cell = [&[row.len() as u8, number as u8 + 1][..], row].concat();
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(&cell);
        let pointer = start + 8 + 2 * number;
        page[pointer..pointer + 2].copy_from_slice(&(end as u16).to_be_bytes());
    }
}

fn rows(pages: &[u8], log: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut rows = Vec::new();
    Database::open(pages, log)?.each_row(b"t", &mut |_, columns| {
        rows.push(columns.octets(1)?.ok_or(Refusal::Missing)?.into_owned());
        Ok(())
    })?;
    Ok(rows)
}

#[test]
fn rows_come_in_order() {
    assert_eq!(rows(&small(&[b"one", b"two"]), b""), Ok(vec![b"one".to_vec(), b"two".to_vec()]));
    assert_eq!(rows(&small(&[])[..512], b""), Err(Refusal::Truncated));
    assert_eq!(rows(b"no database at all", b""), Err(Refusal::Magic));
}

#[test]
fn an_interior_page_that_is_its_own_child_is_refused() {
    let mut pages = small(&[b"one"]);
    pages[512] = INTERIOR;
    pages[512 + 3..512 + 5].fill(0);
    pages[512 + 8..512 + 12].copy_from_slice(&2u32.to_be_bytes());
    assert_eq!(rows(&pages, b""), Err(Refusal::Cycle));
}

#[test]
fn two_rows_over_the_same_octets_are_refused() {
    let row = [7; 50];
    let mut pages = small(&[&row[..]; 5]);
    // Ninety cells that all point to the last row.
    let last = pages[512 + 8..512 + 10].to_vec();
    pages[512 + 3..512 + 5].copy_from_slice(&90u16.to_be_bytes());
    (0..90).for_each(|cell| pages[520 + 2 * cell..522 + 2 * cell].copy_from_slice(&last));
    assert_eq!(rows(&pages, b""), Err(Refusal::Overlap));
}

proptest! {
    #[test]
    fn no_database_panics(at in 0usize..1024, octet: u8, log: Vec<u8>) {
        let mut pages = small(&[b"one", b"two"]);
        pages[at] = octet;
        let _ = rows(&pages, &log);
    }
}
