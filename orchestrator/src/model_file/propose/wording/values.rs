//! What the values of one part of a name are: words, numbers, digests or random letters.
//!
//! Words that a person would choose are never anything else, whoever made the file. A value that
//! comes again in another run is a word too, but for short digests (256 of them soon come again)
//! and for indices, which are numbers from three on.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::ops::RangeInclusive;

use tsem::Class;
use tsem::Token;

use super::Name;

/// The shortest random letters that are taken for random.
const RANDOM_LENGTH: usize = 6;
/// A digest of this length is known by itself; a shorter one by digests below it or many siblings.
const DIGEST_LENGTH: usize = 8;
/// So many siblings.
const SHORT_DIGESTS: usize = 6;
/// Fewer random octets than this do not tell hexadecimal digits from letters and digits.
const HEX_EVIDENCE: usize = 8;
/// So many numbers make an index, though they come again in every run.
const INDICES: usize = 3;
/// Nobody counts with so many digits: these are times, which two quick runs may share.
const TIME_LENGTH: usize = 6;

/// The values of one part, and what was seen of each.
#[derive(Debug, Default)]
pub(super) struct Values<'a>(BTreeMap<&'a [u8], Seen>);

#[derive(Clone, Debug, Default)]
struct Seen {
    runs: BTreeSet<usize>,
    /// A name with it is a directory of digests.
    above_digests: bool,
}

/// What a value is; values of one kind go into one pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind<'a> {
    /// Itself and nothing else.
    Word(&'a [u8]),
    /// A number between these.
    Number(&'a [u8], &'a [u8]),
    /// So many hexadecimal digits.
    Digest(usize),
    /// So many octets that begin with these and go on at random.
    Random(usize, &'a [u8]),
}

impl<'a> FromIterator<(&'a [u8], Name<'a>)> for Values<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], Name<'a>)>>(values: I) -> Self {
        let mut all = Self::default();
        for (value, name) in values {
            let seen = all.0.entry(value).or_default();
            seen.runs.extend(name.runs);
            seen.above_digests |= name.above_digests;
        }
        all
    }
}

impl<'a> Values<'a> {
    /// The kind of each value.
    pub(super) fn kinds(&self) -> BTreeMap<&'a [u8], Kind<'a>> {
        let mut kinds: BTreeMap<_, _> =
            self.0.keys().map(|value| (*value, Kind::Word(value))).collect();
        for find in [Self::digests, Self::numbers, Self::random] {
            let left = kinds.iter().filter(|(_, kind)| matches!(kind, Kind::Word(_)));
            let left = self.only(left.map(|(value, _)| *value));
            kinds.extend(find(&left));
        }
        kinds
    }

    /// Whether two values or more belong to one run alone each, and not all to the same run. Times
    /// need not, nor digests, which are often made of them: two quick runs may share one, so it is
    /// enough that no run showed all of them.
    pub(super) fn vary(&self) -> bool {
        let alone = self.0.values().filter(|seen| seen.runs.len() == 1);
        let alone = alone.map(|seen| &seen.runs).collect::<BTreeSet<_>>().len();
        let may_be_shared = self.are_times() || self.0.keys().all(|value| is_digest(value));
        alone > 1 || (may_be_shared && self.0.len() > 1 && self.divide_runs())
    }

    fn are_times(&self) -> bool {
        self.0
            .keys()
            .all(|value| value.len() >= TIME_LENGTH && value.iter().all(u8::is_ascii_digit))
    }

    fn divide_runs(&self) -> bool {
        let runs: BTreeSet<_> = self.0.values().flat_map(|seen| &seen.runs).collect();
        !runs.into_iter().any(|run| self.0.values().all(|seen| seen.runs.contains(run)))
    }

    /// The pattern of values that are all of this kind.
    pub(super) fn tokens(&self, kind: Kind<'_>) -> Vec<Token> {
        let (before, class, length, after) = match kind {
            Kind::Word(word) => return vec![Token::Literal(word.to_vec())],
            Kind::Digest(length) => (&b""[..], Class::Hex, Some(length), &b""[..]),
            Kind::Number(before, after) => {
                let numbers = self.middles(before.len(), after.len());
                (before, Class::Digits, width(&numbers), after)
            }
            Kind::Random(length, _) => {
                let texts: Vec<&[u8]> = self.0.keys().copied().collect();
                let (before, after) = random_ends(&texts);
                let middles = self.middles(before, after);
                let text = texts[0];
                let class = narrowest(&middles);
                let random = length - before - after;
                (&text[..before], class, Some(random), &text[length - after..])
            }
        };
        let class = Token::Class(class, length.map(|length| length as u16));
        vec![Token::Literal(before.to_vec()), class, Token::Literal(after.to_vec())]
    }

    fn middles(&self, before: usize, after: usize) -> Vec<&'a [u8]> {
        self.0.keys().map(|value| &value[before..value.len() - after]).collect()
    }

    fn only(&self, values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let with_seen = |value: &'a [u8]| Some((value, self.0.get(value)?.clone()));
        Self(values.into_iter().filter_map(with_seen).collect())
    }

    /// Parts of this set by a key; values without one are left out.
    fn by<K: Ord>(&self, key: impl Fn(&'a [u8]) -> Option<K>) -> BTreeMap<K, Self> {
        let mut parts: BTreeMap<K, Self> = BTreeMap::new();
        for (value, seen) in &self.0 {
            if let Some(key) = key(value) {
                parts.entry(key).or_default().0.insert(value, seen.clone());
            }
        }
        parts
    }

    /// Those that one run alone showed.
    fn alone(&self) -> Self {
        let alone = self.0.iter().filter(|(_, seen)| seen.runs.len() == 1);
        self.only(alone.map(|(value, _)| *value))
    }

    fn all_of(&self, kind: Kind<'a>) -> Vec<(&'a [u8], Kind<'a>)> {
        self.0.keys().map(|value| (*value, kind)).collect()
    }

    fn digests(&self) -> Vec<(&'a [u8], Kind<'a>)> {
        let lengths = self.by(|value| is_hex(value).then_some(value.len()));
        let digests = lengths.into_iter().filter(|(length, values)| values.are_digests(*length));
        digests.flat_map(|(length, values)| values.all_of(Kind::Digest(length))).collect()
    }

    fn are_digests(&self, length: usize) -> bool {
        let texts: Vec<&[u8]> = self.0.keys().copied().collect();
        let some = |test: fn(&u8) -> bool, texts: &[&[u8]]| {
            texts.iter().filter(|text| text.iter().any(test)).count()
        };
        let evident = if length >= DIGEST_LENGTH {
            2 * some(u8::is_ascii_digit, &texts) >= texts.len()
                && 2 * some(u8::is_ascii_alphabetic, &texts) >= texts.len()
        } else if self.0.values().all(|seen| seen.above_digests) {
            true
        } else {
            let first: Vec<&[u8]> = texts.iter().map(|text| &text[..1]).collect();
            length.is_multiple_of(2)
                && texts.len() >= SHORT_DIGESTS
                && some(u8::is_ascii_digit, &first) > 0
                && some(u8::is_ascii_alphabetic, &first) > 0
        };
        // One digit may agree by accident.
        let known = self.0.values().all(|seen| seen.above_digests) || !self.is_counted();
        evident && known && self.vary() && common_ends(&texts).0 < 2
    }

    /// Whether all differ in one number alone.
    fn is_counted(&self) -> bool {
        let skeletons: BTreeSet<_> = self.0.keys().map(|value| skeleton(value)).collect();
        skeletons.len() == 1 && !skeletons.contains(&None)
    }

    fn numbers(&self) -> Vec<(&'a [u8], Kind<'a>)> {
        let mut found = Vec::new();
        for ((before, after), values) in self.by(skeleton) {
            let kind = Kind::Number(before, after);
            let indices = before.is_empty() && after.is_empty() && values.0.len() >= INDICES;
            if indices || (values.are_times() && values.vary()) {
                found.extend(values.all_of(kind));
            } else if values.vary() {
                found.extend(values.alone().all_of(kind));
            }
        }
        found
    }

    fn random(&self) -> Vec<(&'a [u8], Kind<'a>)> {
        let long = |value: &'a [u8]| (value.len() >= RANDOM_LENGTH).then_some(value.len());
        let mut found = Vec::new();
        for (length, values) in self.alone().by(long) {
            let beginnings = values.by(|value| Some(&value[..2]));
            if beginnings.values().all(Self::are_random) {
                for (beginning, values) in beginnings {
                    found.extend(values.all_of(Kind::Random(length, beginning)));
                }
            } else {
                let values = values.without_words();
                if values.are_random() {
                    found.extend(values.all_of(Kind::Random(length, b"")));
                }
            }
        }
        found
    }

    /// Leaves out what does not begin as all do that are random beyond doubt.
    fn without_words(&self) -> Self {
        let random: Vec<&[u8]> = self.0.keys().copied().filter(|value| is_random(value)).collect();
        let beginning = match random.as_slice() {
            [] => return Self::default(),
            // How others begin cannot be known from one, so it has to be one that no person would choose.
            [one] if is_mixed(one) && has_digits_within(one) => &b""[..],
            [first, ..] => &first[..random_ends(&random).0],
        };
        self.only(self.0.keys().copied().filter(|value| value.starts_with(beginning)))
    }

    /// Whether values of one length are: a third of them beyond doubt.
    fn are_random(&self) -> bool {
        let texts: Vec<&[u8]> = self.0.keys().copied().collect();
        if !self.vary() {
            return false;
        }
        let (before, after) = random_ends(&texts);
        let middles = self.middles(before, after);
        let certain = middles.iter().filter(|middle| is_random(middle)).count();
        middles.iter().all(|middle| middle.len() >= RANDOM_LENGTH) && 3 * certain >= middles.len()
    }
}

/// What stands before and after the one number in a value.
fn skeleton(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = value.iter().position(u8::is_ascii_digit)?;
    let end = value.iter().rposition(u8::is_ascii_digit)? + 1;
    let one = value[begin..end].iter().all(u8::is_ascii_digit);
    one.then(|| (&value[..begin], &value[end..]))
}

/// Whether a program must have chosen these letters: digits among them, or cases mixed otherwise
/// than `CamelCase` does.
pub(super) fn is_random(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) || (is_mixed(value) && !is_camel_case(value))
}

/// Not as a version has them, at the end.
fn has_digits_within(value: &[u8]) -> bool {
    value.iter().rev().skip_while(|octet| octet.is_ascii_digit()).any(u8::is_ascii_digit)
}

fn is_mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase)
}

/// Words of three letters or more, without four consonants in a row, and three capitals or more, alone or before a word.
fn is_camel_case(value: &[u8]) -> bool {
    let boundary = |left: &u8, right: &u8| {
        (left.is_ascii_lowercase() && right.is_ascii_uppercase()) || *left == b'_' || *right == b'_'
    };
    value.chunk_by(|left, right| !boundary(left, right)).all(is_capitalised)
}

fn is_capitalised(part: &[u8]) -> bool {
    let capitals = part.iter().take_while(|octet| octet.is_ascii_uppercase()).count();
    if part == b"_" || (capitals >= 3 && capitals == part.len()) {
        return true;
    }
    let acronym = capitals.saturating_sub(1);
    (acronym == 0 || acronym >= 3) && is_word(&part[acronym..])
}

fn is_word(text: &[u8]) -> bool {
    let vowel = |octet: &u8| b"aeiouy_".contains(&octet.to_ascii_lowercase());
    let consonants = text.split(vowel).map(<[u8]>::len).max().unwrap_or(0);
    text.len() > 2 && consonants < 4
}

/// Whether a name is a digest beyond doubt, as content-addressed stores use it.
pub(in super::super) fn is_digest(name: &[u8]) -> bool {
    name.len() >= 2 * DIGEST_LENGTH && is_hex(name)
}

/// Octets that all values begin and end with; together they leave the shortest its middle.
pub(super) fn common_ends(values: &[&[u8]]) -> (usize, usize) {
    let first = values[0];
    let shortest = values.iter().map(|value| value.len()).min().unwrap_or(0);
    let agree_from = |at: usize| values.iter().all(|value| value[at] == first[at]);
    let before = (0..shortest).take_while(|at| agree_from(*at)).count();
    let agree_to = |at: usize| {
        values.iter().all(|value| value[value.len() - 1 - at] == first[first.len() - 1 - at])
    };
    let after = (0..shortest - before).take_while(|at| agree_to(*at)).count();
    (before, after)
}

/// The ends that random values of one length have in common, as far as they are no accident.
fn random_ends(values: &[&[u8]]) -> (usize, usize) {
    let (before, after) = common_ends(values);
    // Nothing but an underscore parts random letters from a word behind them.
    let end = &values[0][values[0].len() - after..];
    let after = end.iter().position(|octet| *octet == b'_').map_or(0, |at| after - at);
    let middle = values[0].len() - before - after;
    // Random letters have an even number: one of them agreed by accident.
    (if middle % 2 == 1 { before.saturating_sub(1) } else { before }, after)
}

/// Hexadecimal digits, of one case.
fn is_hex(value: &[u8]) -> bool {
    let one_case = |other: fn(&u8) -> bool| !value.iter().any(other);
    !value.is_empty()
        && value.iter().all(u8::is_ascii_hexdigit)
        && (one_case(u8::is_ascii_uppercase) || one_case(u8::is_ascii_lowercase))
}

fn narrowest(values: &[&[u8]]) -> Class {
    let octets = values.concat();
    if octets.len() >= HEX_EVIDENCE && is_hex(&octets) { Class::Hex } else { Class::Alnum }
}

/// The width of numbers that are padded, or dates. That others have one width is an accident: the
/// next process id may have a digit more.
fn width(numbers: &[&[u8]]) -> Option<usize> {
    let width = numbers.first()?.len();
    let padded = numbers.iter().any(|number| number.len() > 1 && number.starts_with(b"0"));
    let dates = numbers.iter().all(|number| is_date(number));
    let same = numbers.iter().all(|number| number.len() == width);
    (same && (padded || dates)).then_some(width)
}

/// `YYYYMMDD`, of this century or the last.
fn is_date(value: &[u8]) -> bool {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
    let within = |range: Range<usize>, values: RangeInclusive<u32>| {
        number(&value[range]).is_some_and(|number| values.contains(&number))
    };
    value.len() == 8
        && value.iter().all(u8::is_ascii_digit)
        && within(0..4, 1900..=2099)
        && within(4..6, 1..=12)
        && within(6..8, 1..=31)
}
