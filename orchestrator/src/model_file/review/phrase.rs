//! An event as a verb and an object.

use serde::Serialize;
use tsem::Cell;
use tsem::Digest;
use tsem::EventKind;
use tsem::File;
use tsem::Place;
use tsem::Target;
use tsem::Value;
use tsem::names;
use tsem::names::Names;

use crate::model_file::model::ModelFile;

/// What an event is about, in the order in which a reviewer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Programs it starts.
    Executes,
    /// Code it maps into itself.
    LoadsCode,
    /// Files it reads.
    Reads,
    /// Files it writes.
    Writes,
    /// Names it makes, removes and changes.
    Changes,
    /// Sockets.
    Network,
    /// Other processes: signals, tracing, limits.
    Processes,
    /// Credentials, namespaces, mounts.
    Privileges,
    /// The kernel itself.
    Kernel,
    /// The rest.
    Other,
}

impl Topic {
    /// The heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Executes => "executes",
            Self::LoadsCode => "loads code",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Changes => "makes, removes, changes",
            Self::Network => "network",
            Self::Processes => "other processes",
            Self::Privileges => "privileges",
            Self::Kernel => "the kernel",
            Self::Other => "other",
        }
    }
}

/// An event in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Phrase {
    /// What it is about.
    pub topic: Topic,
    /// What is done.
    pub verb: String,
    /// To what; a path where there is one.
    pub object: String,
    /// Whether the object is a path, so that phrases can be put together by directory.
    pub is_path: bool,
}

impl std::fmt::Display for Phrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.object.as_str() {
            "" => f.write_str(&self.verb),
            object => write!(f, "{} {object}", self.verb),
        }
    }
}

/// The chain of programs that leads to a task, in words.
pub fn chain_text(model: &ModelFile, task: &Digest) -> String {
    let chain = model.chain(task);
    if chain.is_empty() {
        return if task.is_zero() { "start".into() } else { "an unknown program".into() };
    }
    let names: Vec<String> = chain.iter().map(|program| shown(program.path())).collect();
    names.join(" > ")
}

/// An event in words; targets are named from the model.
pub fn phrase(model: &ModelFile, cell: &Cell) -> Phrase {
    match cell.kind {
        EventKind::BprmCommittedCreds => exec(cell),
        EventKind::FileOpen => open(cell),
        EventKind::MmapFile | EventKind::FileMprotect => map(cell),
        _ => by_topic(model, cell),
    }
}

/// Octets as a terminal shows them safely.
pub(super) fn shown(octets: &[u8]) -> String {
    let show = |octet: &u8| match octet {
        b' '..=b'~' => char::from(*octet).to_string(),
        _ => format!("\\x{octet:02x}"),
    };
    octets.iter().map(show).collect()
}

fn on_path(topic: Topic, verb: impl Into<String>, place: &Place) -> Phrase {
    Phrase { topic, verb: verb.into(), object: shown(&place.path), is_path: true }
}

fn plain(topic: Topic, verb: impl Into<String>, object: impl Into<String>) -> Phrase {
    Phrase { topic, verb: verb.into(), object: object.into(), is_path: false }
}

fn number(cell: &Cell, row: usize) -> u64 {
    match cell.values.get(row) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    }
}

fn file(cell: &Cell, row: usize) -> Option<&File> {
    match cell.values.get(row) {
        Some(Value::File(file)) => Some(file),
        _ => None,
    }
}

fn exec(cell: &Cell) -> Phrase {
    match (file(cell, 0), file(cell, 1)) {
        (Some(by), Some(script)) => {
            let verb = format!("execute, by {}, the script", shown(&by.place.path));
            on_path(Topic::Executes, verb, &script.place)
        }
        (Some(file), None) => on_path(Topic::Executes, "execute", &file.place),
        _ => plain(Topic::Executes, "execute", "?"),
    }
}

fn open(cell: &Cell) -> Phrase {
    let bit = |name| names::OPEN_INTENT.number(name).unwrap_or(0);
    let access = number(cell, 1);
    let has = |name| access & bit(name) != 0;
    let (topic, verb) = if has("exec") {
        (Topic::LoadsCode, "open to execute")
    } else if has("write") || has("append") || has("truncate") || has("create") {
        (Topic::Writes, write_verb(has("read"), has("append")))
    } else if has("path") {
        (Topic::Reads, "refer to")
    } else if has("directory") {
        (Topic::Reads, "list")
    } else {
        (Topic::Reads, "read")
    };
    match file(cell, 0) {
        Some(file) => on_path(topic, verb, &file.place),
        None => plain(topic, verb, "?"),
    }
}

fn write_verb(read: bool, append: bool) -> &'static str {
    match (read, append) {
        (true, true) => "read and append to",
        (true, false) => "read and write",
        (false, true) => "append to",
        (false, false) => "write",
    }
}

fn map(cell: &Cell) -> Phrase {
    let writable = names::PROTECTION.number("write").is_some_and(|bit| number(cell, 1) & bit != 0);
    let also = if writable { " and writable" } else { "" };
    match file(cell, 0) {
        Some(file) => on_path(Topic::LoadsCode, format!("map executable{also}"), &file.place),
        None => plain(Topic::LoadsCode, format!("make memory executable{also}"), "(of no file)"),
    }
}

fn by_topic(model: &ModelFile, cell: &Cell) -> Phrase {
    let topic = topic_of(cell.kind);
    let verb = verb_of(cell.kind);
    let place = cell.values.iter().find_map(Value::place);
    let details = details(model, cell, place.is_some());
    match place {
        Some(place) if details.is_empty() => on_path(topic, verb, place),
        Some(place) => plain(topic, verb, format!("{} {details}", shown(&place.path))),
        None => plain(topic, verb, details),
    }
}

/// What is told of the fields besides the first path: enough to see what is allowed, without what
/// only tells one file from another.
fn details(model: &ModelFile, cell: &Cell, skip_first_place: bool) -> String {
    let mut skipped = !skip_first_place;
    let mut words = Vec::new();
    for (field, value) in cell.kind.spec().fields.iter().zip(&cell.values) {
        let first_place = !skipped && value.place().is_some();
        skipped |= first_place;
        let told = match (cell.kind, value) {
            _ if first_place => None,
            (_, Value::Task(target)) => Some(target_text(model, target)),
            (_, Value::Path(place)) => Some(format!("to {}", shown(&place.path))),
            (_, Value::Text(text)) => Some(shown(text)),
            (_, Value::Socket(socket)) => Some(socket.to_string()),
            (_, Value::Address(address)) => Some(address.to_string()),
            (EventKind::InodeMkdir | EventKind::InodeCreate, _) | (_, Value::Digest(_)) => None,
            (EventKind::InodeSetattr, Value::Number(number)) => setattr(cell, field.name, *number),
            (EventKind::TaskKill, Value::Number(number)) => Some(format!("signal {number}")),
            (_, Value::Number(number)) => Some(number_text(cell, field.name, *number)),
            _ => None,
        };
        words.extend(told);
    }
    words.join(" ")
}

/// Only what is changed is told.
fn setattr(cell: &Cell, field: &str, number: u64) -> Option<String> {
    let what = self::number(cell, 1);
    let changes = |name| names::ATTRIBUTES.number(name).is_some_and(|bit| what & bit != 0);
    match field {
        "what" => Some(format!("({})", flag_names(&names::ATTRIBUTES, number))),
        "mode" if changes("mode") => Some(format!("mode {number:o}")),
        "uid" | "gid" if changes(field) => Some(format!("{field} {number}")),
        _ => None,
    }
}

fn flag_names(names: &Names, bits: u64) -> String {
    let set = names.0.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name);
    set.collect::<Vec<_>>().join(", ")
}

/// As the text form writes it.
fn number_text(cell: &Cell, field: &str, number: u64) -> String {
    let text = cell.to_string();
    let written = text.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    format!("{field} {}", written.map_or_else(|| number.to_string(), Into::into))
}

fn target_text(model: &ModelFile, target: &Target) -> String {
    match target {
        Target::Own => "itself".into(),
        Target::Outside => "a process outside the namespace".into(),
        Target::Task(task) => chain_text(model, task),
    }
}

pub(super) fn topic_of(kind: EventKind) -> Topic {
    use EventKind as E;
    match kind {
        E::BprmCommittedCreds => Topic::Executes,
        E::MmapFile | E::FileMprotect => Topic::LoadsCode,
        E::InodeCreate
        | E::InodeMkdir
        | E::InodeMknod
        | E::InodeSymlink
        | E::InodeLink
        | E::InodeUnlink
        | E::InodeRmdir
        | E::InodeRename
        | E::InodeSetattr
        | E::InodeSetxattr
        | E::InodeRemovexattr
        | E::FileTruncate => Topic::Changes,
        E::TaskKill | E::PtraceAccessCheck | E::PtraceTraceme | E::TaskPrlimit => Topic::Processes,
        E::SbMount
        | E::SbUmount
        | E::MoveMount
        | E::SbPivotroot
        | E::PathChroot
        | E::SbRemount
        | E::TaskFixSetuid
        | E::TaskFixSetgid
        | E::Capset
        | E::TaskPrctl
        | E::UsernsCreate
        | E::NamespaceCreate
        | E::NamespaceEnter
        | E::Capable => Topic::Privileges,
        E::Bpf
        | E::BpfMap
        | E::BpfProg
        | E::PerfEventOpen
        | E::KernelModuleRequest
        | E::KernelLoadData
        | E::KernelReadFile
        | E::KeyAlloc
        | E::KeyPermission
        | E::Quotactl
        | E::QuotaOn
        | E::Syslog
        | E::Settime
        | E::UringAllowed
        | E::ForeignAbi
        | E::Personality
        | E::UnfilterableCall => Topic::Kernel,
        _ if is_network(kind) => Topic::Network,
        _ => Topic::Other,
    }
}

fn is_network(kind: EventKind) -> bool {
    let name = kind.name();
    ["socket_", "unix_", "netlink_", "tun_"].iter().any(|start| name.starts_with(start))
}

fn verb_of(kind: EventKind) -> String {
    use EventKind as E;
    let verb = match kind {
        E::SocketCreate => "create a socket",
        E::SocketSocketpair => "create a socket pair",
        E::SocketBind => "bind",
        E::SocketConnect | E::UnixStreamConnect => "connect to",
        E::SocketListen => "listen",
        E::SocketAccept => "accept connections",
        E::SocketSendmsg => "send to",
        E::TaskKill => "send a signal to",
        E::PtraceAccessCheck => "inspect or trace",
        E::PtraceTraceme => "be traced by",
        E::TaskPrlimit => "read or set limits of",
        E::InodeCreate => "create",
        E::InodeMkdir => "make the directory",
        E::InodeMknod => "make the node",
        E::InodeSymlink => "make the symbolic link",
        E::InodeLink => "link",
        E::InodeUnlink => "remove",
        E::InodeRmdir => "remove the directory",
        E::InodeRename => "rename",
        E::InodeSetattr => "change attributes of",
        E::InodeSetxattr => "set an extended attribute of",
        E::InodeRemovexattr => "remove an extended attribute of",
        E::SbMount => "mount",
        E::SbUmount => "unmount",
        E::PathChroot => "change its root to",
        E::TaskFixSetuid => "change user ids:",
        E::TaskFixSetgid => "change group ids:",
        E::Capset => "set capabilities:",
        E::TaskPrctl => "set the process option",
        E::UsernsCreate => "create a user namespace",
        E::NamespaceCreate => "create namespaces:",
        E::NamespaceEnter => "enter namespaces:",
        E::UringAllowed => "use io_uring",
        E::KernelModuleRequest => "have the kernel load the module",
        _ => return kind.name().replace('_', " "),
    };
    verb.into()
}
