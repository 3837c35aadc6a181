//! The rules as they stand in a model's header, one a line.
//!
//! An agent takes its rules from the header that is signed and from nowhere else, so the reader is
//! here and not with the files.

use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::str::FromStr;

use crate::AddressRule;
use crate::ExpiredKeys;
use crate::Maker;
use crate::NameRule;
use crate::Pattern;
use crate::PatternError;
use crate::Profile;
use crate::ReferenceRule;
use crate::ReferenceRuleError;
use crate::Rules;

/// Why a text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// Not in the form of any rule.
    NotARule,
    /// Its pattern is none.
    Pattern(PatternError),
    /// Its package or keys are none.
    Reference(ReferenceRuleError),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARule => f.write_str(
                "a rule is 'name PATTERN made|any', 'digest PATTERN', \
                 'address NETWORK/BITS PORT|*', 'ephemeral LOW-HIGH' or 'reference FORMAT PACKAGE \
                 ARCHITECTURE MINIMUM|* KEY[,KEY...] expired-refused|expired-accepted'",
            ),
            Self::Reference(error) => error.fmt(f),
            Self::Pattern(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RuleError {}

impl Rules {
    /// The rules as they stand in a header, without the word `rule`, sorted.
    pub fn lines(&self) -> Vec<String> {
        let (low, high) = self.ephemeral;
        let names = sorted(self.names.iter().map(ToString::to_string));
        let digests = sorted(self.digests.iter().map(|pattern| alloc::format!("digest {pattern}")));
        let addresses = sorted(self.addresses.iter().map(ToString::to_string));
        let references = sorted(self.references.iter().map(ToString::to_string));
        let ephemeral = vec![alloc::format!("ephemeral {low}-{high}")];
        [ephemeral, names, digests, addresses, references].concat()
    }

    /// Adds one rule in its text form, as a header or a user gives it.
    ///
    /// # Errors
    ///
    /// The text is no rule.
    pub fn add_line(&mut self, text: &str) -> Result<(), RuleError> {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["name", pattern, maker] => self.names.push(NameRule {
                pattern: Pattern::parse(pattern).map_err(RuleError::Pattern)?,
                maker: Maker::from_name(maker).ok_or(RuleError::NotARule)?,
            }),
            ["digest", pattern] => {
                self.digests.push(Pattern::parse(pattern).map_err(RuleError::Pattern)?);
            }
            ["address", network, port] => {
                let rule = parse_address_rule(network, port).ok_or(RuleError::NotARule)?;
                self.addresses.push(rule);
            }
            ["reference", format, package, architecture, minimum, keys, expired] => {
                let package = [*format, *package, *architecture];
                self.references.push(parse_reference_rule(package, minimum, keys, expired)?);
            }
            ["ephemeral", range] => {
                self.ephemeral = parse_range(range).ok_or(RuleError::NotARule)?;
            }
            _ => return Err(RuleError::NotARule),
        }
        Ok(())
    }
}

impl Profile {
    /// The profile of a model by its name; `guard` is no profile of a model.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Core, Self::Full].into_iter().find(|profile| profile.name() == name)
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.dedup();
    lines
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {}/{} ", network_text(&self.network), self.prefix)?;
        match self.port {
            None => f.write_str("*"),
            Some(port) => write!(f, "{port}"),
        }
    }
}

/// A network's address in its usual notation.
fn network_text(network: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(network) {
        Ipv4Addr::from(octets).to_string()
    } else if let Ok(octets) = <[u8; 16]>::try_from(network) {
        Ipv6Addr::from(octets).to_string()
    } else {
        "?".into()
    }
}

fn parse_address_rule(network: &str, port: &str) -> Option<AddressRule> {
    let (host, bits) = network.split_once('/')?;
    let network = match host.parse::<IpAddr>().ok()? {
        IpAddr::V4(host) => host.octets().to_vec(),
        IpAddr::V6(host) => host.octets().to_vec(),
    };
    let prefix: u8 = canonical_number(bits)?;
    let port = if port == "*" { None } else { Some(canonical_number(port)?) };
    let clear = |(index, octet): (usize, &u8)| {
        let kept = usize::from(prefix).saturating_sub(index * 8).min(8);
        octet & 0xff_u8.checked_shr(kept as u32).unwrap_or(0) == 0
    };
    let fits = usize::from(prefix) <= network.len() * 8 && network.iter().enumerate().all(clear);
    fits.then_some(AddressRule { network, prefix, port })
}

fn parse_reference_rule(
    package: [&str; 3],
    minimum: &str,
    keys: &str,
    expired: &str,
) -> Result<ReferenceRule, RuleError> {
    let minimum = (minimum != "*").then_some(minimum);
    let keys: Vec<&str> = keys.split(',').collect();
    let expired = ExpiredKeys::from_name(expired).ok_or(RuleError::NotARule)?;
    ReferenceRule::new(package, minimum, &keys, expired).map_err(RuleError::Reference)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-')?;
    let range = (canonical_number(low)?, canonical_number(high)?);
    (range.0 <= range.1).then_some(range)
}

/// A number in the one way that the header writes it: no sign, no leading zeros.
fn canonical_number<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_survive_their_lines() {
        let lines = [
            "ephemeral 1-2",
            "name /tmp/cc{alnum:6}.s made",
            "digest /etc/nginx",
            "address 10.0.0.0/9 443",
            "address fd00::/8 *",
            "reference deb nginx amd64 1.22.1-9 9fed,ed25519:0f expired-refused",
            "reference rpm zlib x86_64 * 9fed expired-accepted",
        ];
        let mut rules = Rules::default();
        for line in lines {
            rules.add_line(line).unwrap();
        }
        assert_eq!(rules.lines(), lines);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for line in [
            "",
            "name /x",
            "name x made",
            "digest",
            "address 10.0.0.1/8 *",
            "ephemeral 2-1",
            "reference deb a all * k expired",
            "reference deb a all * k,k expired-refused",
        ] {
            assert!(Rules::default().add_line(line).is_err(), "{line}");
        }
    }
}
