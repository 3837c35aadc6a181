//! What each finding looks for.

use std::collections::BTreeSet;

use tsem::Address;
use tsem::Cell;
use tsem::Class;
use tsem::EPHEMERAL_DEFAULT;
use tsem::EventKind;
use tsem::ExpiredKeys;
use tsem::File;
use tsem::Maker;
use tsem::NameRule;
use tsem::ReferenceRule;
use tsem::Target;
use tsem::Token;
use tsem::Value;
use tsem::names;
use tsem::names::Names;

use super::Code;
use super::SignatureStatus;
use crate::model_file::header::rule_lines;
use crate::model_file::model::Described;
use crate::model_file::model::ModelFile;
use crate::model_file::model::Seen;
use crate::model_file::review::counted;

const SHELLS: [&str; 10] =
    ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "csh", "tcsh", "busybox"];
const INTERPRETERS: [&str; 9] =
    ["python", "perl", "ruby", "node", "php", "lua", "awk", "gawk", "tclsh"];
const OPEN_DIRECTORIES: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"];
const SECRETS: [&str; 8] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/.ssh/id_",
    "/.gnupg/",
    "/.aws/",
    "/.kube/",
    "/etc/ssl/private/",
];
const FOOTHOLDS: [&str; 11] = [
    "/etc/cron",
    "/var/spool/cron",
    "/etc/passwd",
    "/etc/ld.so",
    "/etc/systemd/",
    "/etc/init.d/",
    "/etc/profile",
    "/.ssh/authorized_keys",
    "/.bashrc",
    "/.profile",
    "/etc/pam.d/",
];
/// IPv4 networks wider than this are very large.
const BROAD_INET: u8 = 16;
/// The same for IPv6: a provider's allocation.
const BROAD_INET6: u8 = 32;

/// What can be said of the model as a whole.
pub(super) fn of_model(model: &ModelFile, signature: SignatureStatus) -> Vec<(Code, String)> {
    let header = model.header();
    let undescribed = model.len() - model.described().count();
    let accepted = model.described().filter(|(_, entry)| entry.seen == Seen::Accepted).count();
    let (low, high) = header.rules.ephemeral;
    let facts = [
        (header.losses > 0, Code::Losses, counted(header.losses, "lost event")),
        (signature == SignatureStatus::Unsigned, Code::Unsigned, header.workload.to_string()),
        (header.runs < 2, Code::OneRun, format!("runs {}", header.runs)),
        (undescribed > 0, Code::Undescribed, counted(undescribed, "coefficient")),
        (accepted > 0, Code::Accepted, counted(accepted, "coefficient")),
        (low < EPHEMERAL_DEFAULT.0, Code::WidePorts, format!("rule ephemeral {low}-{high}")),
    ];
    let facts = facts.into_iter().filter(|(found, ..)| *found).map(|(_, code, at)| (code, at));
    facts.chain(of_rules(model)).collect()
}

fn of_rules(model: &ModelFile) -> Vec<(Code, String)> {
    let rules = model.rules();
    let mut found = Vec::new();
    for rule in rules.names.iter().filter(|rule| is_broad(rule)) {
        let code = match rule.maker {
            Maker::Anyone => Code::BroadAnyRule,
            Maker::Namespace => Code::BroadMadeRule,
        };
        found.push((code, format!("rule {rule}")));
    }
    for rule in &rules.addresses {
        let broad = if rule.network.len() == 4 { BROAD_INET } else { BROAD_INET6 };
        let only = tsem::Rules { addresses: vec![rule.clone()], ..tsem::Rules::default() };
        let text = rule_lines(&only).pop().unwrap_or_default();
        match rule.prefix {
            0 => found.push((Code::AnyNetwork, format!("rule {text}"))),
            prefix if prefix < broad => found.push((Code::BroadNetwork, format!("rule {text}"))),
            _ => {}
        }
    }
    found.extend(rules.references.iter().flat_map(of_reference_rule));
    found
}

fn of_reference_rule(rule: &ReferenceRule) -> impl Iterator<Item = (Code, String)> + use<> {
    let facts = [
        (true, Code::Packages),
        (rule.minimum().is_none(), Code::Downgrade),
        (rule.expired() == ExpiredKeys::Accepted, Code::ExpiredKey),
    ];
    let place = format!("rule {rule}");
    facts.into_iter().filter(|fact| fact.0).map(move |(_, code)| (code, place.clone()))
}

/// A component that any name fits, or a class right below the root.
fn is_broad(rule: &NameRule) -> bool {
    let components = rule.pattern.components();
    let any = |component: &Vec<Token>| {
        matches!(component.as_slice(), [Token::Class(Class::Any | Class::Alnum, None)])
    };
    let classes =
        |component: &Vec<Token>| component.iter().any(|token| matches!(token, Token::Class(..)));
    components.iter().any(any) || components.first().is_some_and(classes)
}

/// The paths that any program of the workload writes, makes or renames to.
pub(super) fn written_paths(model: &ModelFile) -> BTreeSet<Vec<u8>> {
    let mut written = BTreeSet::new();
    for (_, described) in model.described() {
        let cell = &described.cell;
        let places: Vec<_> = cell.values.iter().filter_map(Value::place).collect();
        let writes = match cell.kind {
            EventKind::FileOpen => is_write(cell),
            kind => matches!(
                kind,
                EventKind::InodeCreate | EventKind::InodeLink | EventKind::InodeRename
            ),
        };
        if writes && let Some(place) = places.last() {
            written.insert(place.path.clone());
        }
    }
    written
}

fn number(cell: &Cell, row: usize) -> u64 {
    match cell.values.get(row) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    }
}

fn has(names: &Names, bits: u64, name: &str) -> bool {
    names.number(name).is_some_and(|bit| bits & bit != 0)
}

fn is_write(cell: &Cell) -> bool {
    let access = number(cell, 1);
    ["write", "append", "truncate"].iter().any(|name| has(&names::OPEN_INTENT, access, name))
}

/// What can be said of one entry.
pub(super) fn of_entry(
    model: &ModelFile,
    described: &Described,
    written: &BTreeSet<Vec<u8>>,
) -> Vec<Code> {
    let cell = &described.cell;
    let mut found = Vec::new();
    match cell.kind {
        EventKind::BprmCommittedCreds => {
            found.extend(of_code(cell, written));
            found.extend(of_program(cell));
        }
        EventKind::MmapFile | EventKind::FileMprotect => {
            found.extend(of_code(cell, written));
            found.extend(of_mapping(cell));
        }
        EventKind::FileOpen => found.extend(of_open(cell)),
        kind => found.extend(of_kind(kind).into_iter().chain(of_details(cell))),
    }
    if described.coe.capabilities == (1 << 41) - 1 {
        found.push(Code::AllCapabilities);
    }
    if is_superseded(model, cell) {
        found.push(Code::Superseded);
    }
    found
}

fn of_code(cell: &Cell, written: &BTreeSet<Vec<u8>>) -> Vec<Code> {
    let mut found = Vec::new();
    let files = cell.values.iter().filter_map(|value| match value {
        Value::File(file) => Some(&**file),
        _ => None,
    });
    for File { place, mode, digest, reference, .. } in files {
        let path = String::from_utf8_lossy(&place.path);
        let checks = [
            (Code::NoDigest, digest.is_zero() && reference.is_zero()),
            (Code::SelfWritten, written.contains(&place.path)),
            (Code::SharedDirectory, OPEN_DIRECTORIES.iter().any(|open| path.starts_with(open))),
            (Code::LooseMode, mode & 0o022 != 0),
        ];
        found.extend(checks.iter().filter(|(_, found)| *found).map(|(code, _)| *code));
    }
    found
}

fn of_program(cell: &Cell) -> Vec<Code> {
    let names = cell.values.iter().filter_map(Value::place).map(|place| {
        let name = place.path.rsplit(|octet| *octet == b'/').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    });
    let names: Vec<String> = names.collect();
    let versioned = |name: &str, known: &str| {
        let rest = name.strip_prefix(known);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    let shell = names.iter().any(|name| SHELLS.contains(&name.as_str()));
    let interpreter =
        names.iter().any(|name| INTERPRETERS.iter().any(|known| versioned(name, known)));
    let checks = [(Code::Shell, shell), (Code::Interpreter, interpreter)];
    checks.into_iter().filter(|(_, found)| *found).map(|(code, _)| code).collect()
}

fn of_mapping(cell: &Cell) -> Option<Code> {
    let protection = number(cell, 1);
    if has(&names::PROTECTION, protection, "write") && has(&names::PROTECTION, protection, "exec") {
        return Some(Code::WritableExecutable);
    }
    matches!(cell.values.first(), Some(Value::NoFile)).then_some(Code::Anonymous)
}

fn of_open(cell: &Cell) -> Option<Code> {
    let place = cell.values.first().and_then(Value::place)?;
    let path = String::from_utf8_lossy(&place.path);
    if is_write(cell) {
        return FOOTHOLDS
            .iter()
            .any(|part| path.contains(part))
            .then_some(Code::PersistentFoothold);
    }
    SECRETS.iter().any(|part| path.contains(part)).then_some(Code::Secrets)
}

fn of_kind(kind: EventKind) -> Option<Code> {
    use EventKind as E;
    match kind {
        E::UringAllowed
        | E::Bpf
        | E::PerfEventOpen
        | E::ForeignAbi
        | E::UnfilterableCall
        | E::KernelLoadData
        | E::KernelReadFile
        | E::KernelModuleRequest
        | E::Personality => Some(Code::KernelDoor),
        E::PtraceAccessCheck | E::PtraceTraceme => Some(Code::Tracing),
        E::UsernsCreate
        | E::NamespaceCreate
        | E::NamespaceEnter
        | E::PathChroot
        | E::SbMount
        | E::SbUmount
        | E::MoveMount
        | E::SbPivotroot => Some(Code::Namespaces),
        E::TaskFixSetuid | E::TaskFixSetgid | E::Capset => Some(Code::NewCredentials),
        _ => None,
    }
}

fn of_details(cell: &Cell) -> Vec<Code> {
    let mut found = Vec::new();
    for value in &cell.values {
        let code = match value {
            Value::Task(Target::Outside) => Code::Outside,
            Value::Socket(socket) if is_raw(socket.family, socket.socket_type) => Code::RawSocket,
            Value::Address(Address::Network { prefix: 0, .. }) => Code::AnyNetwork,
            Value::Address(Address::Any) if may_talk(cell.kind) => Code::AnyNetwork,
            _ => continue,
        };
        found.push(code);
    }
    if cell.kind == EventKind::InodeSetattr
        && has(&names::ATTRIBUTES, number(cell, 1), "mode")
        && number(cell, 2) & 0o6000 != 0
    {
        found.push(Code::SetuidBit);
    }
    let makes = matches!(
        cell.kind,
        EventKind::InodeCreate
            | EventKind::InodeLink
            | EventKind::InodeRename
            | EventKind::InodeSymlink
    );
    let made = cell.values.iter().filter_map(Value::place).next_back();
    let foothold = |path: &[u8]| {
        let path = String::from_utf8_lossy(path);
        FOOTHOLDS.iter().any(|part| path.contains(part))
    };
    if makes && made.is_some_and(|place| foothold(&place.path)) {
        found.push(Code::PersistentFoothold);
    }
    found
}

fn may_talk(kind: EventKind) -> bool {
    matches!(kind, EventKind::SocketConnect | EventKind::SocketSendmsg)
}

fn is_raw(family: u32, socket_type: u32) -> bool {
    names::FAMILY.name(family.into()) == Some("packet")
        || names::SOCKET_TYPE.name(socket_type.into()) == Some("raw")
            && names::FAMILY.name(family.into()) != Some("netlink")
}

/// A path that a rule for everyone's files would have replaced.
fn is_superseded(model: &ModelFile, cell: &Cell) -> bool {
    let anyone = model.rules().names.iter().filter(|rule| rule.maker == Maker::Anyone);
    let anyone: Vec<&NameRule> = anyone.collect();
    cell.values.iter().filter_map(Value::place).any(|place| {
        !place.generalised
            && anyone.iter().any(|rule| rule.pattern.match_prefix(&place.path).is_some())
    })
}
