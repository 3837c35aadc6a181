//! The event table: every event, its code, its fields, in the order in which they are encoded.
//!
//! This is the one definition. The encoder, the decoder, the JSON and text forms, the vectors and
//! `docs/spec/01-events.md` walk [`EventKind::spec`]; nothing else knows which fields an event has.
//! Codes are never reused and never renumbered: they open the CELL.

use crate::names;
use crate::names::Names;

/// Which set of sources observes an event identically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Both sources observe it, with the same CELL.
    Core,
    /// Only the kernel source observes it.
    Full,
    /// Only the portable source has it: what a system call filter cannot judge is an event of its
    /// own, denied unless the model holds it.
    Guard,
}

impl Profile {
    /// The name used in models and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Full => "full",
            Self::Guard => "guard",
        }
    }
}

/// What a field holds; decides its width, its text form and its canonical form.
#[derive(Clone, Copy, Debug)]
pub enum FieldType {
    /// An unsigned number, 4 octets.
    Number32,
    /// An unsigned number, 8 octets.
    Number64,
    /// A file mode (`st_mode`: type and permission bits), 4 octets, written in octal.
    Mode,
    /// A bit set, 4 octets; bits without a name stay numbers.
    Flags(&'static Names),
    /// A bit set, 8 octets.
    Flags64(&'static Names),
    /// One of several named numbers, 4 octets; a number without a name stays a number.
    Choice(&'static Names),
    /// Octets with a 2-octet length, at most [`crate::TEXT_MAX`].
    Text,
    /// A place in the file system: path and file system type.
    Path,
    /// A file: place, owner, mode, content digest.
    File,
    /// A file, or nothing.
    OptionalFile,
    /// A socket's family, type and protocol.
    Socket,
    /// A socket address.
    Address,
    /// Another process, by its task identity.
    Task,
    /// A System V IPC object: owner, creator, mode.
    Ipc,
    /// 32 octets.
    Digest,
}

/// A field of an event.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Name in the JSON and text forms; unique within the event.
    pub name: &'static str,
    /// What it holds.
    pub field_type: FieldType,
}

/// An event's row in the table.
#[derive(Clone, Copy, Debug)]
pub struct EventSpec {
    /// The event.
    pub kind: EventKind,
    /// The LSM hook's name without `security_`; the name that is hashed.
    pub name: &'static str,
    /// Who observes it.
    pub profile: Profile,
    /// One sentence.
    pub summary: &'static str,
    /// In encoding order.
    pub fields: &'static [FieldSpec],
}

macro_rules! event_table {
    ($(#[doc = $summary:literal] $kind:ident = $code:literal, $name:literal, $profile:ident,
       [$($field:ident: $type:ident $(($names:ident))?),*];)*) => {
        /// A security event: one call of an LSM hook, or what a source proves equal to it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum EventKind {
            $(#[doc = $summary] $kind = $code,)*
        }

        impl EventKind {
            /// Every event, by ascending code.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The event's row in the table.
            pub const fn spec(self) -> &'static EventSpec {
                &TABLE[self as usize - 1]
            }
        }

        static TABLE: &[EventSpec] = &[$(EventSpec {
            kind: EventKind::$kind,
            name: $name,
            profile: Profile::$profile,
            summary: $summary,
            fields: &[$(FieldSpec {
                name: stringify!($field),
                field_type: FieldType::$type $((&names::$names))?,
            }),*],
        }),*];
    };
}

event_table! {
    /// A program was executed; the task identity changes here.
    BprmCommittedCreds = 1, "bprm_committed_creds", Core, [file: File, script: OptionalFile];
    /// A file was opened, or is about to be executed.
    FileOpen = 2, "file_open", Core, [file: File, access: Flags(OPEN_INTENT)];
    /// Memory was mapped executable; no file for anonymous memory.
    MmapFile = 3, "mmap_file", Core, [file: OptionalFile, protection: Flags(PROTECTION), sharing: Choice(SHARING)];
    /// Mapped memory was made executable.
    FileMprotect = 4, "file_mprotect", Core, [file: OptionalFile, protection: Flags(PROTECTION)];
    /// A socket was created.
    SocketCreate = 5, "socket_create", Core, [socket: Socket];
    /// A connected pair of sockets was created.
    SocketSocketpair = 6, "socket_socketpair", Core, [socket: Socket];
    /// A socket was given a local address.
    SocketBind = 7, "socket_bind", Core, [socket: Socket, address: Address];
    /// A socket was connected to a peer.
    SocketConnect = 8, "socket_connect", Core, [socket: Socket, address: Address];
    /// A socket began to accept connections. The path of a UNIX socket is no address here: it was judged as bind(2) made it.
    SocketListen = 9, "socket_listen", Core, [socket: Socket, local: Address];
    /// A connection is accepted on a listening socket; the hook fires before the peer is known.
    SocketAccept = 10, "socket_accept", Core, [socket: Socket, local: Address];
    /// A message was sent to an explicit address.
    SocketSendmsg = 11, "socket_sendmsg", Core, [socket: Socket, address: Address];
    /// A stream or seqpacket UNIX socket was connected.
    UnixStreamConnect = 12, "unix_stream_connect", Core, [socket: Socket, address: Address];
    /// A signal was sent to another process.
    TaskKill = 13, "task_kill", Core, [target: Task, signal: Number32];
    /// Another process was inspected or attached to.
    PtraceAccessCheck = 14, "ptrace_access_check", Core, [target: Task, mode: Flags(PTRACE_MODE)];
    /// A process asked to be traced by its parent.
    PtraceTraceme = 15, "ptrace_traceme", Core, [parent: Task];
    /// A regular file was created.
    InodeCreate = 16, "inode_create", Core, [path: Path, mode: Mode];
    /// A directory was created.
    InodeMkdir = 17, "inode_mkdir", Core, [path: Path, mode: Mode];
    /// A device, FIFO or socket node was created.
    InodeMknod = 18, "inode_mknod", Core, [path: Path, mode: Mode, device: Number32];
    /// A symbolic link was created.
    InodeSymlink = 19, "inode_symlink", Core, [path: Path, target: Text];
    /// A hard link was created.
    InodeLink = 20, "inode_link", Core, [file: File, path: Path];
    /// A name was removed.
    InodeUnlink = 21, "inode_unlink", Core, [path: Path];
    /// A directory was removed.
    InodeRmdir = 22, "inode_rmdir", Core, [path: Path];
    /// A name was changed.
    InodeRename = 23, "inode_rename", Core, [from: Path, to: Path, flags: Flags(RENAME)];
    /// Mode, owner, size or times were changed; mode and ids are those asked for, all-ones where the call leaves them alone.
    InodeSetattr = 24, "inode_setattr", Core, [file: File, what: Flags(ATTRIBUTES), mode: Mode, uid: Number32, gid: Number32];
    /// An extended attribute was set.
    InodeSetxattr = 25, "inode_setxattr", Core, [file: File, name: Text, value: Digest];
    /// An extended attribute was removed.
    InodeRemovexattr = 26, "inode_removexattr", Core, [file: File, name: Text];
    /// A file system was mounted, or a mount changed.
    SbMount = 27, "sb_mount", Core, [source: Text, target: Path, kind: Text, flags: Flags64(MOUNT)];
    /// A file system was unmounted.
    SbUmount = 28, "sb_umount", Core, [target: Path, flags: Number32];
    /// A mount was moved or attached.
    MoveMount = 29, "move_mount", Core, [from: Path, to: Path];
    /// The root of a mount namespace was exchanged.
    SbPivotroot = 30, "sb_pivotroot", Core, [new: Path, old: Path];
    /// The root directory of a process was changed.
    PathChroot = 31, "path_chroot", Core, [path: Path];
    /// User ids were changed; the ids are those after the call.
    TaskFixSetuid = 32, "task_fix_setuid", Core, [uid: Number32, euid: Number32, suid: Number32, fsuid: Number32, call: Choice(SETID)];
    /// Group ids were changed; the ids as for user ids.
    TaskFixSetgid = 33, "task_fix_setgid", Core, [gid: Number32, egid: Number32, sgid: Number32, fsgid: Number32, call: Choice(SETID)];
    /// Capability sets were changed.
    Capset = 34, "capset", Core, [effective: Flags64(CAPABILITY), permitted: Flags64(CAPABILITY), inheritable: Flags64(CAPABILITY)];
    /// A security relevant process option was set.
    TaskPrctl = 35, "task_prctl", Core, [option: Choice(PRCTL), argument: Number64];
    /// Resource limits of another process were read or set.
    TaskPrlimit = 36, "task_prlimit", Core, [target: Task, access: Flags(PRLIMIT)];
    /// A user namespace was created.
    UsernsCreate = 37, "userns_create", Core, [];
    /// The bpf system call.
    Bpf = 38, "bpf", Core, [command: Number32];
    /// A performance event was opened.
    PerfEventOpen = 39, "perf_event_open", Core, [kind: Number32];
    /// The kernel was asked to load a module by alias.
    KernelModuleRequest = 40, "kernel_module_request", Full, [name: Text];
    /// The kernel was handed data without a file: module, kexec image.
    KernelLoadData = 41, "kernel_load_data", Core, [what: Choice(KERNEL_READ)];
    /// The kernel read a file for itself: module, kexec image, firmware.
    KernelReadFile = 42, "kernel_read_file", Core, [file: OptionalFile, what: Choice(KERNEL_READ)];
    /// A key was added.
    KeyAlloc = 43, "key_alloc", Core, [kind: Text];
    /// A key was used.
    KeyPermission = 44, "key_permission", Core, [operation: Number32];
    /// Disk quotas were managed.
    Quotactl = 45, "quotactl", Core, [command: Number32, kind: Number32];
    /// Quotas were switched on with a quota file.
    QuotaOn = 46, "quota_on", Full, [file: File];
    /// The kernel log was read or changed.
    Syslog = 47, "syslog", Core, [kind: Number32];
    /// The system clock was set.
    Settime = 48, "settime", Core, [clock: Number32];
    /// A device was controlled.
    FileIoctl = 49, "file_ioctl", Full, [file: File, command: Number32];
    /// A file was locked.
    FileLock = 50, "file_lock", Full, [file: File, kind: Number32];
    /// A descriptor was controlled.
    FileFcntl = 51, "file_fcntl", Full, [file: File, command: Number32];
    /// A file was received over a socket.
    FileReceive = 52, "file_receive", Full, [file: File];
    /// An open file was truncated.
    FileTruncate = 53, "file_truncate", Full, [file: File];
    /// A message was received.
    SocketRecvmsg = 54, "socket_recvmsg", Full, [socket: Socket, local: Address];
    /// A socket's own address was read.
    SocketGetsockname = 55, "socket_getsockname", Full, [socket: Socket];
    /// A socket's peer address was read.
    SocketGetpeername = 56, "socket_getpeername", Full, [socket: Socket];
    /// A socket option was set.
    SocketSetsockopt = 57, "socket_setsockopt", Full, [socket: Socket, level: Number32, option: Number32];
    /// A socket was shut down.
    SocketShutdown = 58, "socket_shutdown", Full, [socket: Socket, how: Number32];
    /// A datagram was sent between UNIX sockets.
    UnixMaySend = 59, "unix_may_send", Core, [socket: Socket, address: Address];
    /// A process group was changed.
    TaskSetpgid = 60, "task_setpgid", Full, [target: Task];
    /// A process group was read.
    TaskGetpgid = 61, "task_getpgid", Full, [target: Task];
    /// A session id was read.
    TaskGetsid = 62, "task_getsid", Full, [target: Task];
    /// A nice value was set.
    TaskSetnice = 63, "task_setnice", Full, [target: Task, nice: Number32];
    /// An I/O priority was set.
    TaskSetioprio = 64, "task_setioprio", Full, [target: Task, priority: Number32];
    /// An I/O priority was read.
    TaskGetioprio = 65, "task_getioprio", Full, [target: Task];
    /// A resource limit was set.
    TaskSetrlimit = 66, "task_setrlimit", Full, [target: Task, resource: Number32, soft: Number64, hard: Number64];
    /// A scheduling policy was set.
    TaskSetscheduler = 67, "task_setscheduler", Full, [target: Task];
    /// A scheduling policy was read.
    TaskGetscheduler = 68, "task_getscheduler", Full, [target: Task];
    /// A file system was remounted.
    SbRemount = 69, "sb_remount", Full, [kind: Text, flags: Flags64(MOUNT)];
    /// File system statistics were read.
    SbStatfs = 70, "sb_statfs", Full, [kind: Text];
    /// A shared memory segment was looked up.
    ShmAssociate = 71, "shm_associate", Full, [ipc: Ipc, flags: Number32];
    /// A shared memory segment was controlled.
    ShmShmctl = 72, "shm_shmctl", Full, [ipc: Ipc, command: Number32];
    /// A shared memory segment was attached.
    ShmShmat = 73, "shm_shmat", Full, [ipc: Ipc, flags: Number32];
    /// A semaphore set was looked up.
    SemAssociate = 74, "sem_associate", Full, [ipc: Ipc, flags: Number32];
    /// A semaphore set was controlled.
    SemSemctl = 75, "sem_semctl", Full, [ipc: Ipc, command: Number32];
    /// A semaphore operation.
    SemSemop = 76, "sem_semop", Full, [ipc: Ipc, alter: Number32];
    /// A message queue was looked up.
    MsgQueueAssociate = 77, "msg_queue_associate", Full, [ipc: Ipc, flags: Number32];
    /// A message queue was controlled.
    MsgQueueMsgctl = 78, "msg_queue_msgctl", Full, [ipc: Ipc, command: Number32];
    /// A message was queued.
    MsgQueueMsgsnd = 79, "msg_queue_msgsnd", Full, [ipc: Ipc, flags: Number32];
    /// A queued message was taken.
    MsgQueueMsgrcv = 80, "msg_queue_msgrcv", Full, [ipc: Ipc, target: Task, kind: Number64, mode: Number32];
    /// Access to a System V IPC object was checked.
    IpcPermission = 81, "ipc_permission", Full, [ipc: Ipc, access: Number32];
    /// A netlink message was sent.
    NetlinkSend = 82, "netlink_send", Full, [socket: Socket, message: Number32];
    /// Attributes were read.
    InodeGetattr = 83, "inode_getattr", Full, [file: File];
    /// An extended attribute was read.
    InodeGetxattr = 84, "inode_getxattr", Full, [file: File, name: Text];
    /// Extended attribute names were listed.
    InodeListxattr = 85, "inode_listxattr", Full, [file: File];
    /// Privilege bits were dropped from a written file.
    InodeKillpriv = 86, "inode_killpriv", Full, [file: File];
    /// A TUN device was created.
    TunDevCreate = 87, "tun_dev_create", Full, [];
    /// A queue was attached to a TUN device.
    TunDevAttachQueue = 88, "tun_dev_attach_queue", Full, [];
    /// A TUN device was attached to.
    TunDevAttach = 89, "tun_dev_attach", Full, [socket: Socket];
    /// A TUN device was opened.
    TunDevOpen = 90, "tun_dev_open", Full, [];
    /// A descriptor for a BPF map was made.
    BpfMap = 91, "bpf_map", Full, [kind: Number32, size: Number32];
    /// A descriptor for a BPF program was made.
    BpfProg = 92, "bpf_prog", Full, [kind: Number32];
    /// A capability was asked for.
    Capable = 93, "capable", Full, [capability: Number32, options: Number32];
    /// Capabilities of a process were read.
    Capget = 94, "capget", Full, [target: Task];
    /// An instance of `io_uring` was set up.
    UringAllowed = 95, "uring_allowed", Core, [];
    /// Namespaces other than a user namespace were created by clone or unshare; there is no LSM hook for it.
    NamespaceCreate = 96, "namespace_create", Guard, [kinds: Flags(NAMESPACE)];
    /// A namespace was entered by setns; there is no LSM hook for it.
    NamespaceEnter = 97, "namespace_enter", Guard, [kinds: Flags(NAMESPACE)];
    /// A system call of a foreign or legacy ABI (i386, x32), which a filter cannot judge.
    ForeignAbi = 98, "foreign_abi", Guard, [architecture: Number32, number: Number32];
    /// An execution domain that changes what memory is executable or where it lies.
    Personality = 99, "personality", Guard, [persona: Number32];
    /// A system call that reaches objects past the filter and has no hook of its own in this table.
    UnfilterableCall = 100, "unfilterable_call", Guard, [number: Number32];
    /// Supplementary groups were changed; ascending decimal numbers with commas.
    TaskFixSetgroups = 101, "task_fix_setgroups", Core, [groups: Text];
}

impl EventKind {
    /// The name of the LSM hook.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The code that opens the CELL.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The event of a code; `None` for a code that this version does not know.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// The event of a hook name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_names_unique() {
        for (index, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(usize::from(kind.code()), index + 1);
            assert_eq!(EventKind::from_code(kind.code()), Some(*kind));
            assert_eq!(EventKind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(EventKind::from_code(0), None);
        assert_eq!(EventKind::from_code(u16::MAX), None);
    }
}
