//! Which names are alike, and the narrowest pattern for those that are.
//!
//! A name is cut at its punctuation, and the runs decide which of its parts vary: a part whose
//! values each belong to one run alone (a process id, random letters, a time) does; a part whose
//! values come again in other runs (an extension, an index) is structure and divides the names
//! into families. [`values`] tells what the values of one part are.

mod clock;
mod values;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tsem::Class;
use tsem::Pattern;
use tsem::Token;

use self::clock::Piece;
use self::values::Kind;
use self::values::Values;
pub(super) use self::values::is_digest;

/// Fewer random octets than this, punctuation among them, are no evidence.
const PUNCTUATED_LENGTH: usize = 8;

/// A name that varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) text: &'a [u8],
    /// The namespace had always made it itself.
    pub(super) made: bool,
    /// The runs in which it was seen.
    pub(super) runs: &'a BTreeSet<usize>,
    /// It is a directory of digests.
    pub(super) above_digests: bool,
}

/// Names that are alike.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) names: Vec<Name<'a>>,
    pub(super) tokens: Vec<Token>,
}

/// A name's parts and the punctuation between them, letters among it that part a time.
#[derive(Clone, Debug)]
struct Cut<'a> {
    name: Name<'a>,
    parts: Vec<&'a [u8]>,
    punctuation: Vec<u8>,
    /// Parts that were known to be random among more names than are left of the family.
    random: BTreeMap<usize, Kind<'a>>,
}

/// Sorts names into clusters, each from two runs or more, and those that are like no other.
pub(super) fn cluster<'a>(names: &[Name<'a>]) -> (Vec<Cluster<'a>>, Vec<Name<'a>>) {
    let mut shapes: BTreeMap<(bool, Vec<u8>), Vec<Cut<'a>>> = BTreeMap::new();
    for name in names {
        let cut = cut(*name);
        shapes.entry((name.made, cut.punctuation.clone())).or_default().push(cut);
    }
    let (mut clusters, mut alone) = (Vec::new(), Vec::new());
    let mut groups: Vec<_> = shapes.into_values().collect();
    while let Some(group) = groups.pop() {
        let kinds = kinds_of_parts(&group);
        if let Some(part) = dividing(&kinds) {
            groups.extend(divide(group, &kinds, part));
            continue;
        }
        let names = group.iter().map(|cut| cut.name).collect();
        match pattern(&group, &kinds) {
            Some(tokens) => clusters.push(Cluster { names, tokens }),
            None => alone.extend(names),
        }
    }
    let (punctuated, mut alone) = punctuated_clusters(alone);
    alone.sort_by_key(|name| name.text);
    clusters.extend(punctuated);
    clusters.sort_by(|one, other| one.tokens.cmp(&other.tokens));
    (clusters, alone)
}

fn cut(name: Name<'_>) -> Cut<'_> {
    let mut cut = Cut { name, parts: Vec::new(), punctuation: Vec::new(), random: BTreeMap::new() };
    let clocks = clock::places(name.text);
    let mut begin = 0;
    for (at, octet) in name.text.iter().enumerate() {
        let in_time = || clocks.iter().any(|place| place.contains(&at));
        if !Class::Alnum.contains(*octet) || (!octet.is_ascii_digit() && in_time()) {
            cut.parts.push(&name.text[begin..at]);
            cut.punctuation.push(*octet);
            begin = at + 1;
        }
    }
    cut.parts.push(&name.text[begin..]);
    cut
}

/// For each part, the kind of its value in each name.
fn kinds_of_parts<'a>(group: &[Cut<'a>]) -> Vec<Vec<Kind<'a>>> {
    let parts = group.first().map_or(0, |cut| cut.parts.len());
    (0..parts).map(|part| values_of(group, part).kinds_in_order(group, part)).collect()
}

fn values_of<'a>(group: &[Cut<'a>], part: usize) -> Values<'a> {
    group.iter().map(|cut| (cut.parts[part], cut.name)).collect()
}

impl<'a> Values<'a> {
    fn kinds_in_order(&self, group: &[Cut<'a>], part: usize) -> Vec<Kind<'a>> {
        let (kinds, varies) = (self.kinds(), self.vary());
        let kind = |cut: &Cut<'a>| match (kinds[cut.parts[part]], cut.random.get(&part)) {
            (Kind::Word(_), Some(random)) if varies => *random,
            (kind, _) => kind,
        };
        group.iter().map(kind).collect()
    }
}

/// The part that divides a group into the fewest families, if any does.
fn dividing(kinds: &[Vec<Kind<'_>>]) -> Option<usize> {
    let families = |part: &Vec<Kind<'_>>| part.iter().collect::<BTreeSet<_>>().len();
    let counted = kinds.iter().map(families).enumerate();
    let several = counted.filter(|(_, families)| *families > 1);
    several.min_by_key(|(_, families)| *families).map(|(part, _)| part)
}

fn divide<'a>(group: Vec<Cut<'a>>, kinds: &[Vec<Kind<'a>>], by: usize) -> Vec<Vec<Cut<'a>>> {
    let mut families: BTreeMap<Kind<'a>, Vec<Cut<'a>>> = BTreeMap::new();
    for (index, mut cut) in group.into_iter().enumerate() {
        let of_parts = kinds.iter().map(|kinds| kinds[index]).enumerate();
        cut.random = of_parts.filter(|(_, kind)| matches!(kind, Kind::Random(..))).collect();
        families.entry(kinds[by][index]).or_default().push(cut);
    }
    families.into_values().collect()
}

/// The pattern of a family; `None` when nothing in it belongs to each run alone, or too much.
fn pattern(family: &[Cut<'_>], kinds: &[Vec<Kind<'_>>]) -> Option<Vec<Token>> {
    let first = family.first()?;
    let mut pieces = Vec::new();
    let mut varies = false;
    for (part, kinds) in kinds.iter().enumerate() {
        let values = values_of(family, part);
        varies |= values.vary();
        pieces.extend(pieces_of(first.parts[part], values.tokens(*kinds.first()?)));
        let behind = first.punctuation.get(part).map(|octet| Token::Literal(vec![*octet]));
        pieces.extend(behind.map(|token| Piece { token, length: 1 }));
    }
    let names: Vec<&[u8]> = family.iter().map(|cut| cut.name.text).collect();
    let widened = clock::widen(pieces.clone(), &names);
    let mut patterns = [widened, pieces].into_iter().map(joined);
    patterns.find(|tokens| varies && Pattern::takes(tokens))
}

/// The tokens of a part, with one class at most, and what each is of its value in the first name.
fn pieces_of(value: &[u8], tokens: Vec<Token>) -> Vec<Piece> {
    let literal = |token: &Token| match token {
        Token::Literal(text) => text.len(),
        Token::Class(..) => 0,
    };
    let varying = value.len() - tokens.iter().map(literal).sum::<usize>();
    let piece = |token: Token| {
        let length = if matches!(token, Token::Class(..)) { varying } else { literal(&token) };
        Piece { token, length }
    };
    tokens.into_iter().map(piece).collect()
}

/// The tokens in a row, neighbouring literals joined.
fn joined(pieces: Vec<Piece>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for piece in pieces {
        match (tokens.last_mut(), piece.token) {
            (_, Token::Literal(text)) if text.is_empty() => {}
            (Some(Token::Literal(before)), Token::Literal(text)) => before.extend(text),
            (_, token) => tokens.push(token),
        }
    }
    tokens
}

/// Names with punctuation at random places, as Base64 has it: of the workload's own making, of one
/// length, with the same beginning up to a punctuation.
fn punctuated_clusters(alone: Vec<Name<'_>>) -> (Vec<Cluster<'_>>, Vec<Name<'_>>) {
    let mut lengths: BTreeMap<usize, Vec<Name<'_>>> = BTreeMap::new();
    let (own, mut others): (Vec<_>, Vec<_>) = alone.into_iter().partition(|name| name.made);
    for name in own {
        lengths.entry(name.text.len()).or_default().push(name);
    }
    let mut clusters = Vec::new();
    for names in lengths.into_values() {
        match punctuated_pattern(&names) {
            Some(tokens) => clusters.push(Cluster { names, tokens }),
            None => others.extend(names),
        }
    }
    (clusters, others)
}

fn punctuated_pattern(names: &[Name<'_>]) -> Option<Vec<Token>> {
    let texts: Vec<&[u8]> = names.iter().map(|name| name.text).collect();
    let values: Values<'_> = names.iter().map(|name| (name.text, *name)).collect();
    let (before, _) = values::common_ends(&texts);
    let is_punctuation = |octet: &u8| !Class::Alnum.contains(*octet);
    let before = texts[0][..before].iter().rposition(is_punctuation)? + 1;
    let random = |text: &&[u8]| {
        let rest = &text[before..];
        let base64 = |octet: &u8| Class::Alnum.contains(*octet) || b"+-=".contains(octet);
        rest.len() >= PUNCTUATED_LENGTH && rest.iter().all(base64) && values::is_random(rest)
    };
    if !values.vary() || !texts.iter().all(random) {
        return None;
    }
    let length = (texts[0].len() - before) as u16;
    let class = Token::Class(Class::Any, Some(length));
    Some(vec![Token::Literal(texts[0][..before].to_vec()), class])
}
