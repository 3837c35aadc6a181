//! The rules by which coefficients are formed; part of the model, signed with it.
//!
//! Nothing is generalised but by a rule that stands in the model, where a reviewer sees it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Address;
use crate::Cell;
use crate::Digest;
use crate::File;
use crate::Pattern;
use crate::Place;
use crate::Port;
use crate::Profile;
use crate::ReferenceRule;
use crate::Value;

/// The kernel's default `net.ipv4.ip_local_port_range`.
pub const EPHEMERAL_DEFAULT: (u16, u16) = (32768, 60999);

/// Whose files a name rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Maker {
    /// Only files and directories that the namespace itself made in this run; the coefficient is
    /// bound to the task identity of the process that made it.
    Namespace,
    /// Any file: what an earlier run, or someone else, left there as well.
    Anyone,
}

/// Names in a directory that differ from run to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameRule {
    /// Which paths; what lies below a match keeps its own name behind the pattern.
    pub pattern: Pattern,
    /// Whose.
    pub maker: Maker,
}

/// Addresses that count as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRule {
    /// 4 or 16 octets, host bits zero.
    pub network: Vec<u8>,
    /// Significant bits.
    pub prefix: u8,
    /// This port only; `None` for every port.
    pub port: Option<u16>,
}

/// All rules of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which events the model is about.
    pub profile: Profile,
    /// Ports from here to there, inclusive, are the kernel's choice.
    pub ephemeral: (u16, u16),
    /// Generalised names.
    pub names: Vec<NameRule>,
    /// Files, and all below, whose content counts.
    pub digests: Vec<Pattern>,
    /// Generalised addresses.
    pub addresses: Vec<AddressRule>,
    /// Packages whose files are named by package and signers instead of their content.
    pub references: Vec<ReferenceRule>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            profile: Profile::Core,
            ephemeral: EPHEMERAL_DEFAULT,
            names: Vec::new(),
            digests: Vec::new(),
            addresses: Vec::new(),
            references: Vec::new(),
        }
    }
}

impl Rules {
    /// Whether the content of a file that is only read counts.
    pub fn wants_digest(&self, path: &[u8]) -> bool {
        self.digests.iter().any(|pattern| pattern.match_prefix(path).is_some())
    }

    /// Whether the model speaks of an event; the profiles build on one another.
    pub fn covers(&self, profile: Profile) -> bool {
        profile == Profile::Guard || profile <= self.profile
    }

    /// Adds what `other` has and this has not; both kept sorted.
    pub fn unite(&mut self, other: &Self) {
        unite(&mut self.names, &other.names);
        unite(&mut self.digests, &other.digests);
        unite(&mut self.addresses, &other.addresses);
        unite(&mut self.references, &other.references);
    }

    /// Whether any rule might rewrite a part of a cell.
    pub(crate) fn touch(&self, cell: &Cell) -> bool {
        cell.values.iter().any(|value| match value {
            Value::Address(address)
                if matches!(address, Address::Inet(..) | Address::Inet6(..)) =>
            {
                let mut general = address.clone();
                self.generalise_address(&mut general);
                general != *address
            }
            value => value.place().is_some_and(|place| {
                self.names.iter().any(|rule| rule.pattern.match_prefix(&place.path).is_some())
            }),
        })
    }

    /// Rewrites a place by the name rule that covers most of it. `maker_of` tells who in the
    /// namespace made the object at a leading part of the path, if anyone did.
    pub fn generalise_place(&self, place: &mut Place, maker_of: impl Fn(usize) -> Option<Digest>) {
        let applying = self.names.iter().filter_map(|rule| {
            let covered = rule.pattern.match_prefix(&place.path)?;
            let maker = match rule.maker {
                Maker::Anyone => Digest::ZERO,
                Maker::Namespace => maker_of(covered)?,
            };
            Some((covered, maker, rule))
        });
        // The longest match wins; among equals the narrower maker, then the first by text.
        let best = applying.max_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| b.2.maker.cmp(&a.2.maker)).then_with(|| b.2.cmp(a.2))
        });
        let Some((covered, maker, rule)) = best else {
            return;
        };
        let mut path = rule.pattern.text().into_bytes();
        path.extend_from_slice(&place.path[covered..]);
        place.path = path;
        place.generalised = true;
        place.maker = maker;
    }

    /// Leaves a file one name for its content: the reference where a rule of the model has it, else
    /// the digest.
    pub fn settle_content(&self, file: &mut File) {
        if file.reference.is_zero() {
            return;
        }
        if self.references.iter().any(|rule| rule.identity() == file.reference) {
            file.digest = Digest::ZERO;
        } else {
            file.reference = Digest::ZERO;
        }
    }

    /// Rewrites an address: ephemeral ports, then the narrowest address rule.
    pub fn generalise_address(&self, address: &mut Address) {
        let (host, port): (&[u8], &mut Port) = match address {
            Address::Inet(host, port) => (&host[..], port),
            Address::Inet6(host, port) => (&host[..], port),
            _ => return,
        };
        if let Port::Exact(number) = *port
            && (number == 0 || (self.ephemeral.0..=self.ephemeral.1).contains(&number))
        {
            *port = Port::Ephemeral;
        }
        let fits = |rule: &&AddressRule| {
            in_network(host, &rule.network, rule.prefix)
                && rule.port.is_none_or(|number| *port == Port::Exact(number))
        };
        let narrowest = self.addresses.iter().filter(fits).max_by_key(|rule| (rule.prefix, *rule));
        if let Some(rule) = narrowest {
            *address = Address::Network {
                network: rule.network.clone(),
                prefix: rule.prefix,
                port: rule.port.map_or(Port::Ephemeral, Port::Exact),
            };
        }
    }
}

fn unite<T: Ord + Clone>(into: &mut Vec<T>, from: &[T]) {
    into.extend_from_slice(from);
    // The stable sort would take 4 KiB of stack, which a microcontroller does not have to spare.
    into.sort_unstable();
    into.dedup();
}

fn in_network(host: &[u8], network: &[u8], prefix: u8) -> bool {
    if host.len() != network.len() || usize::from(prefix) > host.len() * 8 {
        return false;
    }
    let whole = usize::from(prefix / 8);
    let mask = !(0xffu16 >> (prefix % 8)) as u8;
    host[..whole] == network[..whole]
        && (prefix.is_multiple_of(8) || (host[whole] ^ network[whole]) & mask == 0)
}

impl Maker {
    /// The word in a model.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "made",
            Self::Anyone => "any",
        }
    }

    /// The maker of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Namespace, Self::Anyone].into_iter().find(|maker| maker.name() == name)
    }
}

impl fmt::Display for NameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name {} {}", self.pattern, self.maker.name())
    }
}

impl NameRule {
    /// What the rule gives away, in words for a reviewer.
    pub fn gives_away(&self) -> String {
        match self.maker {
            Maker::Namespace => alloc::format!(
                "a program may use any name that fits {} for what the workload itself made there",
                self.pattern
            ),
            Maker::Anyone => alloc::format!(
                "a program may reach every file that fits {}, whoever made it",
                self.pattern
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[(&str, Maker)]) -> Rules {
        let names = patterns.iter().map(|(pattern, maker)| NameRule {
            pattern: Pattern::parse(pattern).unwrap(),
            maker: *maker,
        });
        Rules { names: names.collect(), ..Rules::default() }
    }

    #[test]
    fn the_longest_rule_wins_and_binds_to_the_maker() {
        let rules = rules(&[
            ("/tmp/{any}", Maker::Anyone),
            ("/tmp/t.{alnum:3}/x{digits}", Maker::Namespace),
        ]);
        let mut place = Place::new("/tmp/t.abc/x12/y", 1);
        let maker = Digest([7; 32]);
        rules.generalise_place(&mut place, |covered| (covered == 14).then_some(maker));
        assert_eq!(place.path, b"/tmp/t.{alnum:3}/x{digits}/y");
        assert_eq!(place.maker, maker);
        let mut foreign = Place::new("/tmp/t.abc/x12/y", 1);
        rules.generalise_place(&mut foreign, |_| None);
        assert_eq!(foreign.path, b"/tmp/{any}/x12/y");
        assert!(foreign.maker.is_zero());
    }

    #[test]
    fn ports_and_networks() {
        let mut rules = Rules::default();
        let mut address = Address::Inet([127, 0, 0, 1], Port::Exact(40000));
        rules.generalise_address(&mut address);
        assert_eq!(address, Address::Inet([127, 0, 0, 1], Port::Ephemeral));
        rules.addresses.push(AddressRule { network: [10, 0, 0, 0].into(), prefix: 9, port: None });
        let mut inside = Address::Inet([10, 127, 0, 1], Port::Exact(443));
        rules.generalise_address(&mut inside);
        assert!(matches!(inside, Address::Network { prefix: 9, .. }));
        let mut outside = Address::Inet([10, 128, 0, 1], Port::Exact(443));
        rules.generalise_address(&mut outside);
        assert_eq!(outside, Address::Inet([10, 128, 0, 1], Port::Exact(443)));
    }
}
