//! Generalisation rules, proposed from what differed between runs. Never applied by themselves.
//!
//! All paths of all runs are laid into one tree. A name that every run showed below its directory
//! is a constant and is left alone; one run alone proposes nothing. Names that came and went are
//! compared with their siblings, and where two or more from different runs look alike, the
//! narrowest pattern that fits them is proposed, bound to files that the workload made itself if
//! all of them were. What lies below alike directories is laid together and looked at in the same
//! way, so that rules nest. A reviewer accepts or refuses each.

mod tree;
mod wording;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::Serialize;
use tsem::Address;
use tsem::AddressRule;
use tsem::Class;
use tsem::EncodeError;
use tsem::EventKind;
use tsem::Maker;
use tsem::NameRule;
use tsem::Observation;
use tsem::Pattern;
use tsem::Port;
use tsem::Rules;
use tsem::Token;
use tsem::Value;

use self::tree::Node;
use self::wording::Cluster;
use self::wording::Name;
use super::header::rule_lines;

/// Examples shown with a proposal.
const EXAMPLES_MAX: usize = 5;
/// Varying paths without a proposal that are listed; the rest is counted.
const UNEXPLAINED_MAX: usize = 1000;
/// So many names, each from another run, are strong evidence: less is not enough for a rule about
/// files that the workload did not make.
const STRONG_EVIDENCE: usize = 3;
/// A network wider than this is no generalisation of a few addresses.
const NARROWEST_NETWORK: u8 = 16;

/// A rule that would make runs alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// As [`super::header::add_rule`] takes it.
    pub rule: String,
    /// Some of what it was inferred from.
    pub examples: Vec<String>,
    /// How many names or addresses it was inferred from.
    pub distinct: usize,
    /// In how many runs they were seen.
    pub runs: usize,
    /// What a workload may do by it that no run has done, in words.
    pub gives_away: String,
}

/// What learning proposes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proposals {
    /// Each to be accepted or refused by itself; shorter patterns first.
    pub proposals: Vec<Proposal>,
    /// Paths that varied between runs and look like nothing else; a long list is cut.
    pub unexplained: Vec<String>,
    /// How many of them there are.
    pub unexplained_total: usize,
}

/// Proposes rules for runs that are being learned under `rules`.
///
/// # Errors
///
/// An observation that was read from a damaged record.
pub fn propose(runs: &[&Observation], rules: &Rules) -> Result<Proposals, EncodeError> {
    let mut tree = Node::default();
    let mut peers = Peers::default();
    for (run, observation) in runs.iter().enumerate() {
        let formed = observation.form(rules)?;
        for (event, formed) in observation.events.iter().zip(&formed) {
            tree.lay(run, &event.observed, &formed.cell, rules);
            peers.note(run, formed.cell.kind, &formed.cell.values);
        }
    }
    let mut search = Search { rules, found: Proposals::default() };
    search.directory(&tree, &mut Vec::new());
    let mut found = search.found;
    found.proposals.extend(peers.proposals(runs.len(), rules));
    found.unexplained_total = found.unexplained.len();
    found.unexplained.truncate(UNEXPLAINED_MAX);
    Ok(found)
}

struct Search<'a> {
    rules: &'a Rules,
    found: Proposals,
}

impl Search<'_> {
    /// Looks at the names in one directory, then below each of them.
    fn directory(&mut self, node: &Node, path: &mut Vec<Vec<Token>>) {
        let (clusters, alone) = wording::cluster(&varying(node));
        let mut unexplained = alone;
        let mut covered: BTreeSet<&[u8]> = BTreeSet::new();
        for cluster in clusters {
            if is_justified(node, &cluster) {
                covered.extend(self.cluster(node, &cluster, path));
            } else {
                unexplained.extend(&cluster.names);
            }
        }
        let left = unexplained.iter().filter(|name| !covered.contains(name.text));
        self.found.unexplained.extend(left.map(|name| text_of(path, name.text)));
        for (component, child) in &node.children {
            if literal(component).is_none_or(|text| !covered.contains(text)) {
                path.push(component.clone());
                self.directory(child, path);
                path.pop();
            }
        }
    }

    /// Proposes a rule for names that are alike, and goes on below all that the rule covers
    /// together. Gives their names.
    fn cluster<'n>(
        &mut self,
        node: &'n Node,
        cluster: &Cluster<'_>,
        path: &mut Vec<Vec<Token>>,
    ) -> Vec<&'n [u8]> {
        let made = cluster.names.iter().all(|name| name.made);
        let covered: Vec<_> =
            matching(node, &cluster.tokens).filter(|(_, child)| child.made || !made).collect();
        let mut together = Node::default();
        for (_, child) in &covered {
            together.merge(child);
        }
        let examples = cluster.names.iter().take(EXAMPLES_MAX);
        let examples = examples.map(|name| text_of(path, name.text)).collect();
        path.push(cluster.tokens.clone());
        let maker = if made { Maker::Namespace } else { Maker::Anyone };
        let rule = NameRule { pattern: Pattern::new(path.clone()), maker };
        if !self.rules.names.contains(&rule) {
            self.found.proposals.push(Proposal {
                rule: rule.to_string(),
                examples,
                distinct: cluster.names.len(),
                runs: runs_of(cluster).len(),
                gives_away: rule.gives_away(),
            });
        }
        self.directory(&together, path);
        path.pop();
        covered.into_iter().map(|(text, _)| text).collect()
    }
}

/// The names that were not seen whenever their directory was.
fn varying(node: &Node) -> Vec<Name<'_>> {
    let children = node.children.iter().filter(|(_, child)| child.runs.len() < node.runs.len());
    let names = children.filter_map(|(component, child)| {
        let above_digests = child.children.keys().filter_map(|name| literal(name));
        let above_digests = above_digests.into_iter().any(wording::is_digest);
        Some(Name { text: literal(component)?, made: child.made, runs: &child.runs, above_digests })
    });
    names.collect()
}

/// The names in a directory that a pattern would cover.
fn matching<'n>(
    node: &'n Node,
    tokens: &[Token],
) -> impl Iterator<Item = (&'n [u8], &'n Node)> + use<'n> {
    let pattern = Pattern::new(vec![tokens.to_vec()]);
    let children = node.children.iter();
    children.filter_map(move |(component, child)| {
        let text = literal(component)?;
        let covered = pattern.match_prefix(&[b"/", text].concat());
        covered.is_some().then_some((text, child))
    })
}

/// Whether the evidence bears a rule. A sibling that every run showed is no varying name: what
/// would cover it is too broad, but for digits of a fixed number, which digests may share.
fn is_justified(node: &Node, cluster: &Cluster<'_>) -> bool {
    let exact = cluster.tokens.iter().all(|token| {
        matches!(token, Token::Literal(_) | Token::Class(Class::Hex | Class::Digits, Some(_)))
    });
    let constant = |child: &Node| child.runs.len() == node.runs.len();
    let strong = cluster.names.iter().all(|name| name.made)
        || (cluster.names.len() >= STRONG_EVIDENCE && runs_of(cluster).len() >= STRONG_EVIDENCE);
    strong && (exact || !matching(node, &cluster.tokens).any(|(_, child)| constant(child)))
}

fn runs_of<'n>(cluster: &Cluster<'n>) -> BTreeSet<&'n usize> {
    cluster.names.iter().flat_map(|name| name.runs).collect()
}

fn literal(component: &[Token]) -> Option<&[u8]> {
    match component {
        [Token::Literal(text)] => Some(text),
        _ => None,
    }
}

/// A path as patterns write it.
fn text_of(directory: &[Vec<Token>], name: &[u8]) -> String {
    let mut components = directory.to_vec();
    components.push(vec![Token::Literal(name.to_vec())]);
    Pattern::new(components).to_string()
}

/// IPv4 peers that workloads connect to, by port.
#[derive(Default)]
struct Peers(BTreeMap<u16, BTreeMap<[u8; 4], BTreeSet<usize>>>);

impl Peers {
    fn note(&mut self, run: usize, kind: EventKind, values: &[Value]) {
        if !matches!(kind, EventKind::SocketConnect | EventKind::SocketSendmsg) {
            return;
        }
        for value in values {
            if let Value::Address(Address::Inet(host, Port::Exact(port))) = value {
                self.0.entry(*port).or_default().entry(*host).or_default().insert(run);
            }
        }
    }

    fn proposals(self, runs: usize, rules: &Rules) -> Vec<Proposal> {
        let varied = |hosts: &BTreeMap<[u8; 4], BTreeSet<usize>>| -> Vec<[u8; 4]> {
            let some = hosts.iter().filter(|(_, seen)| seen.len() < runs);
            some.map(|(host, _)| *host).collect()
        };
        let ports = self.0.iter().map(|(port, hosts)| (*port, varied(hosts)));
        ports.filter_map(|(port, hosts)| network_proposal(port, &hosts, runs, rules)).collect()
    }
}

fn network_proposal(port: u16, hosts: &[[u8; 4]], runs: usize, rules: &Rules) -> Option<Proposal> {
    let numbers: Vec<u32> = hosts.iter().map(|host| u32::from_be_bytes(*host)).collect();
    let (low, high) = (numbers.iter().min()?, numbers.iter().max()?);
    let prefix = (low ^ high).leading_zeros() as u8;
    if hosts.len() < 2 || prefix < NARROWEST_NETWORK {
        return None;
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let network = (low & mask).to_be_bytes();
    let rule = AddressRule { network: network.into(), prefix, port: Some(port) };
    let only = Rules { addresses: vec![rule], ..rules.clone() };
    let rule = rule_lines(&only).into_iter().find(|line| line.starts_with("address "))?;
    let examples = hosts.iter().take(EXAMPLES_MAX);
    Some(Proposal {
        rule,
        examples: examples.map(|host| format!("{}:{port}", Ipv4Addr::from(*host))).collect(),
        distinct: hosts.len(),
        runs,
        gives_away: format!(
            "a program that talks to one of these may talk to port {port} of all {} addresses of \
             {}/{prefix}",
            1_u64 << (32 - prefix),
            Ipv4Addr::from(network),
        ),
    })
}

#[cfg(test)]
mod tests;
