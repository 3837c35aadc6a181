//! Dates and times in names.
//!
//! Short runs differ in the seconds of a time and in nothing before them, and tomorrow's run in the
//! date. So where a part of a time varies, all of it does, with the date before it.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;
use tsem::Class;
use tsem::Token;

/// A date, and a time of the day with or without seconds, parted in any of the common ways.
static DATE_AND_TIME: LazyLock<Regex> = LazyLock::new(|| {
    let date = "(19|20)[0-9]{2}[-_.:]?(0[1-9]|1[0-2])[-_.:]?(0[1-9]|[12][0-9]|3[01])";
    let time = "([01][0-9]|2[0-3])[-_.:]?[0-5][0-9]([-_.:]?([0-5][0-9]|60))?";
    Regex::new(&format!("(?-u){date}[-_.:Tt@+ ]?{time}")).expect("a constant")
});
/// A time of the day by itself: nothing but its parting tells it from a number.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?-u)([01][0-9]|2[0-3])[-_.:][0-5][0-9][-_.:]([0-5][0-9]|60)").expect("a constant")
});

/// A token of a pattern, and how many octets it stands for in the first of the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) token: Token,
    pub(super) length: usize,
}

/// Makes all of a time vary of which a part does, where every name has one of the same form.
pub(super) fn widen(mut pieces: Vec<Piece>, names: &[&[u8]]) -> Vec<Piece> {
    let clocks: Vec<Vec<Range<usize>>> = names.iter().map(|name| places(name)).collect();
    for (index, place) in clocks.first().into_iter().flatten().enumerate() {
        let form = |(name, clocks): (&&[u8], &Vec<Range<usize>>)| {
            clocks.get(index).map(|place| any_time(&name[place.clone()]))
        };
        let mut forms = names.iter().zip(&clocks).map(form);
        let first = forms.next().flatten();
        if let Some(clock) = first.filter(|first| forms.all(|form| form.as_ref() == Some(first))) {
            pieces = widened(&pieces, place, clock).unwrap_or(pieces);
        }
    }
    pieces
}

/// Where the dates with times and the times of a name are.
pub(super) fn places(name: &[u8]) -> Vec<Range<usize>> {
    let is_digit = |at: usize| name.get(at).is_some_and(u8::is_ascii_digit);
    let whole = |place: &Range<usize>| {
        !is_digit(place.end) && place.start.checked_sub(1).is_none_or(|before| !is_digit(before))
    };
    let found = [&*DATE_AND_TIME, &*TIME]
        .map(|form| form.find_iter(name).map(|found| found.range()).filter(whole).collect());
    let [dates, mut times]: [Vec<_>; 2] = found;
    times.retain(|time| dates.iter().all(|date| time.end <= date.start || date.end <= time.start));
    [dates, times].concat()
}

/// The form of a time: its digits may be any.
fn any_time(text: &[u8]) -> Vec<Piece> {
    let alike = |left: &u8, right: &u8| left.is_ascii_digit() == right.is_ascii_digit();
    let piece = |part: &[u8]| {
        let digits = Token::Class(Class::Digits, Some(part.len() as u16));
        let token = if part[0].is_ascii_digit() { digits } else { Token::Literal(part.into()) };
        Piece { token, length: part.len() }
    };
    text.chunk_by(alike).map(piece).collect()
}

/// `None` where nothing of the time varies, or what varies reaches beyond it.
fn widened(pieces: &[Piece], place: &Range<usize>, clock: Vec<Piece>) -> Option<Vec<Piece>> {
    let (before, rest) = split(pieces, place.start)?;
    let (within, after) = split(&rest, place.len())?;
    let varies = within.iter().any(|piece| matches!(piece.token, Token::Class(..)));
    varies.then(|| [before, clock, after].concat())
}

/// The pieces before an octet and from it on; `None` if it lies within what varies.
fn split(pieces: &[Piece], at: usize) -> Option<(Vec<Piece>, Vec<Piece>)> {
    let (mut before, mut after, mut passed) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let here = at.saturating_sub(passed);
        passed += piece.length;
        match &piece.token {
            _ if here >= piece.length => before.push(piece.clone()),
            _ if here == 0 => after.push(piece.clone()),
            Token::Literal(text) => {
                let halves = text.split_at(here);
                let [left, right] = [halves.0, halves.1]
                    .map(|half| Piece { token: Token::Literal(half.into()), length: half.len() });
                before.push(left);
                after.push(right);
            }
            Token::Class(..) => return None,
        }
    }
    Some((before, after))
}
