//! Path patterns: what a generalisation or digest rule speaks of.
//!
//! A pattern is an absolute path whose components may hold classes of characters, `{digits}`,
//! `{hex}`, `{alnum}`, `{any}`, each optionally with an exact length as in `{alnum:6}`. A class
//! never matches a `/` and never nothing. A pattern speaks of what it matches and, by
//! [`Pattern::match_prefix`], of all below it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// More classes than this in one component would only make matching slow.
const CLASSES_MAX: usize = 8;

/// A set of octets that may stand in for a part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `0` to `9`.
    Digits,
    /// `0` to `9`, `a` to `f`, `A` to `F`.
    Hex,
    /// Letters, digits and `_`: what mkstemp(3) and its likes draw from.
    Alnum,
    /// Any octet but `/`.
    Any,
}

impl Class {
    /// Every class, narrowest first.
    pub const ALL: [Self; 4] = [Self::Digits, Self::Hex, Self::Alnum, Self::Any];

    /// The name in braces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Hex => "hex",
            Self::Alnum => "alnum",
            Self::Any => "any",
        }
    }

    /// Whether an octet belongs to the class.
    pub fn contains(self, octet: u8) -> bool {
        match self {
            Self::Digits => octet.is_ascii_digit(),
            Self::Hex => octet.is_ascii_hexdigit(),
            Self::Alnum => octet.is_ascii_alphanumeric() || octet == b'_',
            Self::Any => octet != b'/',
        }
    }
}

/// A part of a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Token {
    /// Exactly these octets.
    Literal(Vec<u8>),
    /// One or more octets of a class, or exactly so many.
    Class(Class, Option<u16>),
}

/// A path pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    components: Vec<Vec<Token>>,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A component is empty, `.` or `..`.
    BadComponent,
    /// A class is unknown, unclosed or has a bad length.
    BadClass,
    /// A backslash is not followed by `{`, `}`, `\` or `xNN`.
    BadEscape,
    /// It has more classes in one component than this version matches.
    TooManyClasses,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "a path pattern begins with '/'",
            Self::BadComponent => "a path pattern has no empty, '.' or '..' component",
            Self::BadClass => {
                "a class is {digits}, {hex}, {alnum} or {any}, with an optional length as in {hex:8}"
            }
            Self::BadEscape => "a backslash stands before '{', '}', '\\' or xNN",
            Self::TooManyClasses => "a component has at most 8 classes",
        })
    }
}

impl core::error::Error for PatternError {}

impl Pattern {
    /// Whether a component has no more classes than a pattern may have in one, which is 8.
    pub fn takes(component: &[Token]) -> bool {
        let classes = component.iter().filter(|token| matches!(token, Token::Class(..)));
        classes.count() <= CLASSES_MAX
    }

    /// A pattern of these components, each of them at least one token.
    pub fn new(components: Vec<Vec<Token>>) -> Self {
        Self { components }
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let components = rest.split('/').map(parse_component).collect::<Result<_, _>>()?;
        Ok(Self { components })
    }

    /// The components, from the root.
    pub fn components(&self) -> &[Vec<Token>] {
        &self.components
    }

    /// Whether any component holds a class.
    pub fn has_class(&self) -> bool {
        self.components.iter().flatten().any(|token| matches!(token, Token::Class(..)))
    }

    /// How many octets of `path` the pattern covers: all of it or a leading run of components.
    /// `None` where it does not match.
    pub fn match_prefix(&self, path: &[u8]) -> Option<usize> {
        let mut rest = path;
        for component in &self.components {
            rest = rest.strip_prefix(b"/")?;
            let end = rest.iter().position(|octet| *octet == b'/').unwrap_or(rest.len());
            if !matches(component, &rest[..end]) {
                return None;
            }
            rest = &rest[end..];
        }
        Some(path.len() - rest.len())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for component in &self.components {
            f.write_str("/")?;
            component.iter().try_for_each(|token| write_token(f, token))?;
        }
        Ok(())
    }
}

fn write_token(f: &mut fmt::Formatter<'_>, token: &Token) -> fmt::Result {
    match token {
        Token::Class(class, None) => write!(f, "{{{}}}", class.name()),
        Token::Class(class, Some(length)) => write!(f, "{{{}:{length}}}", class.name()),
        Token::Literal(octets) => octets.iter().try_for_each(|octet| match octet {
            b'{' | b'}' | b'\\' => write!(f, "\\{}", *octet as char),
            0x21..=0x7e => write!(f, "{}", *octet as char),
            _ => write!(f, "\\x{octet:02x}"),
        }),
    }
}

fn parse_component(text: &str) -> Result<Vec<Token>, PatternError> {
    if matches!(text, "" | "." | "..") {
        return Err(PatternError::BadComponent);
    }
    let mut tokens = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '{' {
            let close = rest.find('}').ok_or(PatternError::BadClass)?;
            if !literal.is_empty() {
                tokens.push(Token::Literal(core::mem::take(&mut literal)));
            }
            tokens.push(parse_class(&rest[1..close])?);
            rest = &rest[close + 1..];
        } else {
            rest = parse_octet(rest, &mut literal)?;
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    if Pattern::takes(&tokens) { Ok(tokens) } else { Err(PatternError::TooManyClasses) }
}

fn parse_class(text: &str) -> Result<Token, PatternError> {
    let (name, length) = match text.split_once(':') {
        Some((name, length)) => {
            let length = length.parse::<u16>().ok().filter(|length| *length > 0);
            (name, Some(length.ok_or(PatternError::BadClass)?))
        }
        None => (text, None),
    };
    let class = Class::ALL.into_iter().find(|class| class.name() == name);
    Ok(Token::Class(class.ok_or(PatternError::BadClass)?, length))
}

fn parse_octet<'a>(text: &'a str, literal: &mut Vec<u8>) -> Result<&'a str, PatternError> {
    let Some(escape) = text.strip_prefix('\\') else {
        let first = text.chars().next().map_or(0, char::len_utf8);
        if text.starts_with('}') {
            return Err(PatternError::BadClass);
        }
        literal.extend_from_slice(&text.as_bytes()[..first]);
        return Ok(&text[first..]);
    };
    if let Some(octet @ (b'{' | b'}' | b'\\')) = escape.as_bytes().first() {
        literal.push(*octet);
        return Ok(&escape[1..]);
    }
    let hex = escape.strip_prefix('x').and_then(|rest| rest.get(..2));
    let octet = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
    literal.push(octet.filter(|octet| *octet != b'/').ok_or(PatternError::BadEscape)?);
    Ok(&escape[3..])
}

/// Whether the tokens match the whole name; at most [`CLASSES_MAX`] backtracking points on names
/// of at most 255 octets.
fn matches(tokens: &[Token], name: &[u8]) -> bool {
    let Some((first, rest)) = tokens.split_first() else {
        return name.is_empty();
    };
    match first {
        Token::Literal(literal) => {
            name.strip_prefix(literal.as_slice()).is_some_and(|name| matches(rest, name))
        }
        Token::Class(class, length) => {
            let run = name.iter().take_while(|octet| class.contains(**octet)).count();
            let (least, most) =
                length.map_or((1, run), |length| (length.into(), run.min(length.into())));
            (least..=most).rev().any(|taken| matches(rest, &name[taken..]))
        }
    }
}

impl Pattern {
    /// The text form, which also stands in the canonical path of what the pattern generalised.
    pub fn text(&self) -> String {
        alloc::format!("{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn covered(pattern: &str, path: &str) -> Option<usize> {
        Pattern::parse(pattern).unwrap().match_prefix(path.as_bytes())
    }

    #[test]
    fn classes_match_what_they_say() {
        assert_eq!(covered("/tmp/cc{alnum:6}.s", "/tmp/ccAb3_9z.s"), Some(15));
        assert_eq!(covered("/tmp/cc{alnum:6}.s", "/tmp/ccAb3_9.s"), None);
        assert_eq!(covered("/run/{digits}/x", "/run/12/x/y/z"), Some(9));
        assert_eq!(covered("/run/{digits}/x", "/run//x"), None);
        assert_eq!(covered("/a/{any}", "/a/b"), Some(4));
        assert_eq!(covered("/a/{any}", "/a/"), None);
        assert_eq!(covered("/a/{any}{hex:2}", "/a/zff"), Some(6));
    }

    #[test]
    fn text_round_trips() {
        for text in ["/tmp/cc{alnum:6}.s", "/a\\{b\\}/{any}", "/x\\x20y/\\\\", "/{hex}{digits:3}"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["tmp", "/", "/a//b", "/a/../b", "/{nope}", "/{hex:0}", "/{hex", "/a\\q", "/a}"]
        {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
