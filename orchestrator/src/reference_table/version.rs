//! Which of two versions of a package is the later one, in the format's own order.

use std::cmp::Ordering;

use references::Format;

/// Compares two versions as the format's own tools do; `None` where the order of the format is not
/// known here, unless they are the same text.
pub fn compare(format: Format, a: &str, b: &str) -> Option<Ordering> {
    match format {
        Format::Deb => Some(whole(a, b, deb_part)),
        Format::Rpm | Format::Arch => Some(whole(a, b, rpm_part)),
        _ => (a == b).then_some(Ordering::Equal),
    }
}

/// `[epoch:]version[-release]`: epoch, version and release weigh in this order.
fn whole(a: &str, b: &str, part: fn(&[u8], &[u8]) -> Ordering) -> Ordering {
    let (a, b) = (split(a), split(b));
    a.0.cmp(&b.0)
        .then_with(|| part(a.1.as_bytes(), b.1.as_bytes()))
        .then_with(|| part(a.2.as_bytes(), b.2.as_bytes()))
}

fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, release)
}

/// deb-version(7): parts without digits by characters, parts of digits by number, in turn.
fn deb_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (next_a, next_b) = (non_digit(a), non_digit(b));
            if next_a.is_none() && next_b.is_none() {
                break;
            }
            let order = deb_weight(next_a).cmp(&deb_weight(next_b));
            if order.is_ne() {
                return order;
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let order = numbers(&mut a, &mut b);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn non_digit(text: &[u8]) -> Option<u8> {
    text.first().copied().filter(|octet| !octet.is_ascii_digit())
}

/// `~` sorts before the end, the end before letters, letters before the rest.
fn deb_weight(octet: Option<u8>) -> u16 {
    match octet {
        Some(b'~') => 0,
        None => 1,
        Some(letter) if letter.is_ascii_alphabetic() => 2 + u16::from(letter),
        Some(other) => 258 + u16::from(other),
    }
}

/// Compares the digits that both begin with, as numbers of any length, and takes them away.
fn numbers(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let (first, second) = (leading(a, u8::is_ascii_digit), leading(b, u8::is_ascii_digit));
    let (first, second) = (without_zeros(first), without_zeros(second));
    first.len().cmp(&second.len()).then_with(|| first.cmp(second))
}

fn leading<'a>(text: &mut &'a [u8], belongs: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|octet| !belongs(octet)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

/// rpmvercmp: segments of digits or letters in turn; `~` before all, `^` after the end only.
fn rpm_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let separator =
            |octet: &u8| !octet.is_ascii_alphanumeric() && !matches!(octet, b'~' | b'^');
        let _ = (leading(&mut a, separator), leading(&mut b, separator));
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), other) => return caret(other),
            (other, Some(b'^')) => return caret(other).reverse(),
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() != y.is_ascii_digit() => {
                return if x.is_ascii_digit() { Ordering::Greater } else { Ordering::Less };
            }
            (Some(x), Some(_)) => {
                let order = if x.is_ascii_digit() {
                    numbers(&mut a, &mut b)
                } else {
                    let letters = u8::is_ascii_alphabetic;
                    leading(&mut a, letters).cmp(leading(&mut b, letters))
                };
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
}

/// A version that goes on with `^` is later than one that ends there, earlier than any other.
fn caret(other: Option<&u8>) -> Ordering {
    if other.is_none() { Ordering::Greater } else { Ordering::Less }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(format: Format, versions: &[&str]) {
        for (at, a) in versions.iter().enumerate() {
            for (other, b) in versions.iter().enumerate() {
                assert_eq!(compare(format, a, b), Some(at.cmp(&other)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn debian_versions_are_ordered_as_deb_version_says() {
        ascending(
            Format::Deb,
            &[
                "1.0~~",
                "1.0~~a",
                "1.0~rc1-1",
                "1.0",
                "1.0-1",
                "1.0-1+deb12u1",
                "1.0-1+deb12u2",
                "1.0-1+deb12u10",
                "1.0-2",
                "1.0a",
                "1.0+b",
                "1.2",
                "1.10",
                "2",
                "1:0.1",
            ],
        );
        let equal = compare(Format::Deb, "0:1.00-0", "1.0");
        assert_eq!(equal, Some(Ordering::Equal));
    }

    #[test]
    fn rpm_versions_are_ordered_as_rpmvercmp_does() {
        ascending(
            Format::Rpm,
            &[
                "1.0~rc1-1",
                "1.0-1.el9",
                "1.0-1.el9_2",
                "1.0-2",
                "1.0^git1-1",
                "1.0a-1",
                "1.0.1-1",
                "1.2-1",
                "1.10-1",
                "2:0-1",
            ],
        );
        assert_eq!(compare(Format::Rpm, "1_0", "1.0"), Some(Ordering::Equal));
    }

    #[test]
    fn what_cannot_be_compared_is_not_guessed() {
        assert_eq!(compare(Format::List, "1", "2"), None);
        assert_eq!(compare(Format::List, "1", "1"), Some(Ordering::Equal));
    }
}
