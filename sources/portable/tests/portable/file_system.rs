//! Names, attributes and mounts: effect, event and error of every call, and no effect on denial.
//!
//! `errno_parity.py` makes a few thousand calls; bare and under the source it must print the same.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::Recorder;
use super::allow;
use super::run;
use super::tell;
use tsem::Description;
use tsem::EventKind;
use tsem::Value;

const PYTHON: &str = "/usr/bin/python3";
const PARITY: &str = include_str!("errno_parity.py");

/// A directory of one's own, gone at the end.
struct Scratch(String);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("/tmp/portable-fs-{}-{name}", std::process::id());
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = format!("{}/{name}", self.0);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+rwx", &self.0]).status();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0")
}

/// Runs the table bare and under the source, in the same directory, before and after a command
/// that sets the stage again.
fn assert_parity(prefix: &[&str], foreign: Option<&str>, stage: &dyn Fn()) {
    let name = if prefix.is_empty() { "parity" } else { "parity-dropped" };
    let scratch = Scratch::new(name);
    let (program, bare, watched) =
        (scratch.write("calls.py", PARITY), scratch.write("bare", ""), scratch.write("under", ""));
    let work = format!("{}/work", scratch.0);
    let outputs = [&bare, &watched].map(|output| {
        stage();
        std::fs::create_dir(&work).unwrap();
        open_to_all(&[&scratch.0, &work, &bare, &watched]);
        let script = format!(
            "exec {} {PYTHON} {program} {work} {} > {output} 2>&1",
            prefix.join(" "),
            foreign.unwrap_or_default()
        );
        if *output == bare {
            assert!(Command::new("/bin/sh").args(["-c", &script]).status().unwrap().success());
        } else {
            let agent = Recorder::new(allow);
            assert_eq!(run(&agent, &["/bin/sh", "-c", &script]).unwrap(), 0, "{}", tail(output));
        }
        let _ = Command::new("chmod").args(["-R", "u+rwx", &work]).status();
        std::fs::remove_dir_all(&work).unwrap();
        std::fs::read_to_string(output).unwrap()
    });
    let different: Vec<_> =
        outputs[0].lines().zip(outputs[1].lines()).filter(|(bare, under)| bare != under).collect();
    if std::env::var_os("KEEP_PARITY").is_some() {
        std::mem::forget(scratch);
    }
    assert!(outputs[0].lines().count() > 2500, "the table ran");
    assert!(
        different.is_empty(),
        "{} differ, as {:#?}",
        different.len(),
        &different[..different.len().min(40)]
    );
    assert_eq!(outputs[0], outputs[1]);
}

fn open_to_all(paths: &[&str]) {
    Command::new("chmod").arg("0777").args(paths).status().unwrap();
}

fn tail(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().rev().take(8).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_call_returns_what_it_returns_bare() {
    assert_parity(&[], None, &|| ());
}

/// As root, so that there can be files of others; the workload drops its privilege by itself.
#[test]
fn every_call_returns_what_it_returns_bare_after_dropping_privilege() {
    if !is_root() {
        return;
    }
    let foreign = Scratch::new("foreign");
    let directory = foreign.0.clone();
    let stage = || {
        let script = "cd $0 && rm -rf ./* && chmod 1777 . && touch theirs writable set-id && mkdir their-dir \
                      && chmod 600 theirs && chmod 666 writable && chmod 6777 set-id && chmod 777 their-dir";
        assert!(Command::new("sh").args(["-c", script, &directory]).status().unwrap().success());
    };
    let drop_privilege = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    assert_parity(&drop_privilege, Some(&foreign.0), &stage);
}

/// Whether it is depends on `fs.protected_symlinks`; under the source it is the same.
#[test]
fn a_planted_link_is_followed_where_the_kernel_would_follow_it() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("planted");
    scratch.write("file", "text");
    let shared = format!("{}/shared", scratch.0);
    let link = format!("{shared}/link");
    let stage = "mkdir $0 && chmod 1777 $0 && ln -s ../file $0/link && chown -h 65534 $0/link";
    assert!(Command::new("sh").args(["-c", stage, &shared]).status().unwrap().success());
    let read = ["/bin/cat", &link];
    let bare = Command::new(read[0]).arg(read[1]).status().unwrap().code().unwrap();
    assert_eq!(run(&Recorder::new(allow), &read).unwrap(), bare);
}

/// What a Python program does under the source, and the events about the directory's files.
fn events_of(scratch: &Scratch, script: &str) -> Vec<String> {
    let agent = Recorder::new(allow);
    let script = format!("import os; os.chdir('{}'); {script}", scratch.0);
    assert_eq!(run(&agent, &[PYTHON, "-c", &script]).unwrap(), 0);
    let log = agent.log();
    let of_scratch = log.events.iter().filter(|event| {
        event.cell.kind != EventKind::FileOpen
            && event.places().any(|place| place.path.starts_with(scratch.0.as_bytes()))
    });
    of_scratch.map(|event| told_with_numbers(event).replace(&scratch.0, "")).collect()
}

fn told_with_numbers(event: &Description) -> String {
    let others = event.cell.values.iter().filter_map(|value| match value {
        Value::Number(number) => Some(format!(" {number:o}")),
        Value::Text(text) => Some(format!(" {}", String::from_utf8_lossy(text))),
        _ => None,
    });
    tell(event) + &others.collect::<String>()
}

#[test]
fn names_give_exactly_these_events() {
    let scratch = Scratch::new("names");
    let script = "os.umask(0o027); os.mkdir('d'); os.mknod('f', 0o100666); os.mkfifo('p'); os.symlink('any','s'); \
                  os.link('f','l'); os.rename('l','d/m'); os.unlink('s'); os.unlink('p'); os.rename('f','d/m')";
    let expected = [
        "inode_mkdir /d 40750",
        "inode_create /f 100640",
        "inode_mknod /p 10640 0",
        "inode_symlink /s any",
        "inode_link /f /l",
        "inode_rename /l /d/m 0",
        "inode_unlink /s",
        "inode_unlink /p",
    ];
    assert_eq!(events_of(&scratch, script), expected, "two names of one file: nothing is renamed");
    assert_eq!(
        events_of(&scratch, "os.unlink('d/m'); os.rmdir('d')"),
        ["inode_unlink /d/m", "inode_rmdir /d"]
    );
}

/// Each file's mode in the event is the mode that it has: what is remembered is never out of date.
#[test]
fn a_umask_holds_until_anybody_changes_it() {
    let scratch = Scratch::new("umasks");
    let script = "import threading
def make(name, mask):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o666))
    assert os.stat(name).st_mode & 0o777 == 0o666 & ~mask, name
os.umask(0); make('a', 0); make('b', 0)
for n in range(64):
    mask = (0o022, 0o077, 0)[n % 3]
    os.umask(mask); make(f'own{n}', mask)
    changer = threading.Thread(target=os.umask, args=(0o027,)); changer.start(); changer.join()
    make(f'thread{n}', 0o027)
    if os.fork() == 0:
        make(f'inherited{n}', 0o027); os.umask(0o007); make(f'child{n}', 0o007); os._exit(0)
    assert os.wait()[1] == 0
    make(f'parent{n}', 0o027)";
    let events = events_of(&scratch, &format!("exec({script:?})"));
    assert_eq!(events.len(), 2 + 64 * 5);
    for event in events {
        let (name, mode) = event.trim_start_matches("inode_create /").split_once(' ').unwrap();
        let made = std::fs::metadata(format!("{}/{name}", scratch.0)).unwrap();
        assert_eq!(mode, format!("{:o}", made.permissions().mode()), "{event}");
    }
}

#[test]
fn an_exchange_is_two_events() {
    let scratch = Scratch::new("exchange");
    scratch.write("a", "1");
    scratch.write("b", "2");
    let script = "import ctypes; assert ctypes.CDLL(None).syscall(316,-100,b'a',-100,b'b',2)==0; \
                  assert os.stat('a').st_size";
    assert_eq!(events_of(&scratch, script), ["inode_rename /b /a 2", "inode_rename /a /b 2"]);
    assert_eq!(std::fs::read_to_string(format!("{}/a", scratch.0)).unwrap(), "2");
}

#[test]
fn attributes_give_exactly_these_events() {
    let scratch = Scratch::new("attributes");
    scratch.write("f", "content");
    let script = "os.symlink('f','s'); os.chmod('s',0o604); os.truncate('f',3); os.utime('s',None); \
                  os.utime('f',(1,2)); os.chown('f',-1,os.getgid()); os.setxattr('f','user.a',b'v'); os.removexattr('f','user.a')";
    let gid = std::fs::read_to_string("/proc/self/status").unwrap();
    let gid = gid.lines().find_map(|line| line.strip_prefix("Gid:\t")).unwrap();
    let gid: u32 = gid.split('\t').next().unwrap().parse().unwrap();
    let none = "37777777777";
    let expected = [
        "inode_symlink /s f".to_owned(),
        format!("inode_setattr /f 1 100604 {none} {none}"),
        format!("inode_setattr /f 10 {none} {none} {none}"),
        format!("inode_setattr /f 160 {none} {none} {none}"),
        format!("inode_setattr /f 60 {none} {none} {none}"),
        format!("inode_setattr /f 4 {none} {none} {gid:o}"),
        "inode_setxattr /f user.a".to_owned(),
        "inode_removexattr /f user.a".to_owned(),
    ];
    assert_eq!(events_of(&scratch, script), expected);
}

#[test]
fn what_is_denied_has_no_effect() {
    let scratch = Scratch::new("denied");
    for name in ["f", "g"] {
        scratch.write(name, "kept");
    }
    std::fs::create_dir(format!("{}/d", scratch.0)).unwrap();
    let agent = Recorder::new(|event| {
        let kind = event.cell.kind as u16;
        (EventKind::InodeCreate as u16..=EventKind::InodeRemovexattr as u16).contains(&kind)
    });
    let script = format!(
        "import os; os.chdir('{}')\n\
         before=[(e.name,os.stat(e.name)) for e in os.scandir('.')]\n\
         for act in [lambda:os.mkdir('n'),lambda:os.mknod('n',0o100600),lambda:os.mkfifo('n'),lambda:os.symlink('x','n'),\
         lambda:os.link('f','n'),lambda:os.unlink('f'),lambda:os.rmdir('d'),lambda:os.rename('f','g'),lambda:os.chmod('f',0o777),\
         lambda:os.truncate('f',0),lambda:os.utime('f',(1,1)),lambda:os.chown('f',-1,os.getgid()),lambda:os.setxattr('f','user.a',b'v'),\
         lambda:os.removexattr('f','user.a'),lambda:os.ftruncate(os.open('f',os.O_RDWR),0)]:\n  \
         try: act(); assert 0\n  \
         except PermissionError as e: assert e.errno==1\n\
         assert before==[(e.name,os.stat(e.name)) for e in os.scandir('.')]",
        scratch.0
    );
    assert_eq!(run(&agent, &[PYTHON, "-c", &script]).unwrap(), 0);
    assert_eq!(std::fs::read_to_string(format!("{}/f", scratch.0)).unwrap(), "kept");
    assert!(agent.log().made.is_empty());
}

/// Ends the mounts that were made below it.
struct Mounted(Vec<String>);

impl Mounted {
    fn mount(&mut self, words: &[&str], at: &str) {
        assert!(Command::new("mount").args(words).arg(at).status().unwrap().success());
        self.0.push(at.to_owned());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for at in self.0.iter().rev() {
            let _ = Command::new("umount").args(["-l", at]).status();
        }
    }
}

/// Where the layers are different file systems, what is mapped has another number than the file.
#[test]
fn a_program_on_an_overlay_changes_its_root() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("overlay");
    let [lower, upper, merged] = ["lower", "upper", "merged"].map(|name| {
        let path = format!("{}/{name}", scratch.0);
        std::fs::create_dir(&path).unwrap();
        path
    });
    let mut mounted = Mounted(Vec::new());
    mounted.mount(&["-t", "tmpfs", "lower"], &lower);
    mounted.mount(&["-t", "tmpfs", "upper"], &upper);
    for name in ["changes", "work"] {
        std::fs::create_dir(format!("{upper}/{name}")).unwrap();
    }
    let source = scratch
        .write("root.c", "#include <unistd.h>\nint main(void) { return chroot(\"/run\") != 0; }");
    let compiled = Command::new("gcc").args(["-o", &format!("{lower}/root"), &source]).status();
    assert!(compiled.unwrap().success());
    let layers = format!("lowerdir={lower},upperdir={upper}/changes,workdir={upper}/work");
    mounted.mount(&["-t", "overlay", "overlay", "-o", &layers], &merged);
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &[&format!("{merged}/root")]).unwrap(), 0);
    assert!(agent.told().contains(&"path_chroot /run".to_owned()), "{:#?}", agent.told());
}

#[test]
fn root_mounts_and_changes_its_root() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("mounts");
    let at = &scratch.0;
    for name in ["t", "b"] {
        std::fs::create_dir(format!("{at}/{name}")).unwrap();
    }
    let script = format!(
        "import os,ctypes\n\
         l=ctypes.CDLL(None,use_errno=True)\n\
         def ok(r): assert r==0,(r,ctypes.get_errno())\n\
         ok(l.mount(b'none',b'{at}/t',b'tmpfs',0,b'size=1m')); open('{at}/t/in','w').write('x')\n\
         ok(l.mount(b'{at}/t',b'{at}/b',None,4096,None)); assert os.listdir('{at}/b')==['in']\n\
         ok(l.umount2(b'{at}/b',0)); assert os.listdir('{at}/b')==[]\n\
         os.mkdir('{at}/t/sub')\n\
         os.chroot('{at}/t'); os.chdir('/'); assert os.listdir('/')==['sub'] or sorted(os.listdir('/'))==['in','sub']\n\
         open('/in').read(); os.chdir('/sub'); os.chroot('.'); assert os.listdir('/')==[]"
    );
    let agent = Recorder::new(allow);
    let done = run(&agent, &[PYTHON, "-c", &script]).unwrap();
    let _ = Command::new("umount").arg(format!("{at}/t")).status();
    let told = agent.told();
    assert_eq!(done, 0, "{:#?}", told.iter().rev().take(12).collect::<Vec<_>>());
    let expected = [
        format!("sb_mount {at}/t"),
        format!("sb_mount {at}/b"),
        format!("sb_umount {at}/b"),
        format!("path_chroot {at}/t"),
        format!("path_chroot {at}/t/sub"),
        format!("file_open {at}/t/in"),
    ];
    for event in expected {
        assert!(told.contains(&event), "{event}: {told:#?}");
    }
}

#[test]
fn a_denied_mount_or_root_stays_as_it_was() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("nomount");
    let script = format!(
        "import os,ctypes,threading,time\n\
         l=ctypes.CDLL(None,use_errno=True); at=b'{}'; before=open('/proc/self/mountinfo').read()\n\
         def no(r): assert r==-1 and ctypes.get_errno()==1,(r,ctypes.get_errno())\n\
         no(l.mount(b'none',at,b'tmpfs',0,None)); no(l.mount(at,at,None,4096,None)); no(l.chroot(at))\n\
         assert before==open('/proc/self/mountinfo').read() and os.readlink('/proc/self/root')=='/'",
        scratch.0
    );
    let denied =
        |event: &Description| matches!(event.cell.kind, EventKind::SbMount | EventKind::PathChroot);
    let agent = Recorder::new(denied);
    assert_eq!(run(&agent, &[PYTHON, "-c", &script]).unwrap(), 0, "{:?}", agent.told());
    assert!(!agent.has("unfilterable_call "));
}

#[test]
fn a_root_whose_name_could_change_is_refused() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new("threads");
    let script = format!(
        "import os,threading,time\n\
         def no(path):\n  \
         try: os.chroot(path); assert 0\n  \
         except PermissionError: pass\n\
         os.symlink('{0}','{0}/link'); no('{0}/link')\n\
         threading.Thread(target=time.sleep,args=(0.5,)).start(); no('{0}')\n\
         assert os.readlink('/proc/self/root')=='/'",
        scratch.0
    );
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &[PYTHON, "-c", &script]).unwrap(), 0, "{:?}", agent.told());
    assert_eq!(agent.told().iter().filter(|told| *told == "unfilterable_call ").count(), 2);
    assert!(!agent.told().iter().any(|told| told.starts_with("path_chroot")));
}

/// It acts on whoever reads the terminal.
#[test]
fn typing_into_a_terminal_is_denied_unless_modeled() {
    let agent = Recorder::new(|event| event.cell.kind == EventKind::UnfilterableCall);
    let script = "import fcntl\n\
         for request in [0x5412, 0x541c]:\n  \
         try: fcntl.ioctl(0,request,b'x'); assert 0\n  \
         except PermissionError as e: assert e.errno==1";
    assert_eq!(run(&agent, &[PYTHON, "-c", script]).unwrap(), 0);
}

/// As openpty(3) opens it, which names no path.
#[test]
fn a_terminal_opened_by_its_master_is_a_file_that_is_opened() {
    let script = "import os,sys\n\
         try: master,end=os.openpty()\n\
         except PermissionError: sys.exit(9)\n\
         os.write(end,b'said'); assert os.read(master,9)==b'said'";
    let is_end = |event: &Description| {
        event.cell.kind == EventKind::FileOpen
            && event.places().any(|place| place.path.starts_with(b"/dev/pts/"))
    };
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &[PYTHON, "-c", script]).unwrap(), 0);
    assert_eq!(agent.log().events.iter().filter(|event| is_end(event)).count(), 1);
    let agent = Recorder::new(is_end);
    assert_eq!(run(&agent, &[PYTHON, "-c", script]).unwrap(), 9);
}

/// The hook is told of `/dev/tty` before it is known whether there is a terminal behind it.
#[test]
fn the_terminal_is_judged_by_the_name_that_it_is_opened_by() {
    let script = "import errno,os,pty\n\
         def child(act):\n  \
         if (pid:=os.fork())==0:\n   \
         os.setsid()\n   \
         try: act(); os._exit(0)\n   \
         except OSError as e: os._exit(e.errno)\n  \
         return os.waitstatus_to_exitcode(os.waitpid(pid,0)[1])\n\
         print(child(lambda: os.open('/dev/tty',os.O_RDWR)))\n\
         pid,terminal=pty.fork()\n\
         if pid==0: os.write(os.open('/dev/tty',os.O_RDWR),b'said'); os._exit(0)\n\
         assert b'said' in os.read(terminal,99); os.waitpid(pid,0)";
    let agent = Recorder::new(allow);
    let checked = script.replace("print(", "assert errno.ENXIO==(");
    assert_eq!(run(&agent, &[PYTHON, "-c", &checked]).unwrap(), 0);
    let named = |event: &&Description| event.places().any(|place| place.path == b"/dev/tty");
    assert_eq!(agent.log().events.iter().filter(named).count(), 2);
    let agent = Recorder::new(|event| event.places().any(|place| place.path == b"/dev/tty"));
    let denied =
        script.replace("print(", "assert errno.EPERM==(").replace("pty.fork()", "0,1; exit()");
    assert_eq!(run(&agent, &[PYTHON, "-c", &denied]).unwrap(), 0);
}

/// Calls on two queues, of which one is denied; each line is what a call came to.
const QUEUES: &str = "import ctypes,os,sys\n\
         libc=ctypes.CDLL(None,use_errno=True); opens,unlinks=map(int,sys.argv[1:3])\n\
         attr=(ctypes.c_long*8)(0,3,100)\n\
         def tell(done): print(done if done<=0 else 'fd', ctypes.get_errno() if done<0 else 0)\n\
         def mq_open(name,flags,mode=0o640):\n  \
         fd=libc.syscall(opens,name,flags,mode,attr); tell(fd)\n  \
         if fd>0: print(oct(os.fstat(fd).st_mode),os.get_inheritable(fd),os.get_blocking(fd)); os.close(fd)\n\
         os.umask(0o027); C,X,RW,N=os.O_CREAT,os.O_EXCL,os.O_RDWR,os.O_NONBLOCK\n\
         for name in sys.argv[3:]:\n  \
         name=name.encode()\n  \
         for flags in [RW,C|RW|N,C|X|RW,C|RW,0,os.O_WRONLY,3]: mq_open(name,flags,0o666)\n  \
         tell(libc.syscall(unlinks,name)); tell(libc.syscall(unlinks,name))\n\
         for name in [b'',b'.',b'a/b',b'/a',b'x'*300]: mq_open(name,RW); tell(libc.syscall(unlinks,name))";

fn queue_calls(names: [&str; 2]) -> Vec<String> {
    let numbers = [libc::SYS_mq_open, libc::SYS_mq_unlink].map(|number| number.to_string());
    let names = names.map(|name| format!("quixote-{}-{name}", std::process::id()));
    [&[PYTHON.into(), "-c".into(), QUEUES.into()][..], &numbers, &names].concat()
}

#[test]
fn a_queue_is_a_file_by_its_name_and_behaves_as_bare() {
    let calls = queue_calls(["one", "two"]);
    let bare = Command::new(&calls[0]).args(&calls[1..]).output().unwrap();
    let bare = String::from_utf8(bare.stdout).unwrap();
    assert!(bare.lines().count() > 20, "the calls were made: {bare}");
    let output = super::scratch("queues");
    let script = format!("exec \"$@\" > {output}");
    let shell = ["/bin/sh", "-c", &script, "sh"].map(str::to_owned);
    let told = |agent: &std::sync::Arc<Recorder>| {
        let command: Vec<String> = [&shell[..], &calls].concat();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        assert_eq!(run(agent, &command).unwrap(), 0);
        let told = std::fs::read_to_string(&output).unwrap();
        std::fs::remove_file(&output).unwrap();
        told
    };
    let agent = Recorder::new(allow);
    assert_eq!(told(&agent), bare);
    let name = format!("/quixote-{}-one", std::process::id());
    for event in ["inode_create", "file_open", "inode_unlink"] {
        assert!(agent.has(&format!("{event} {name}")), "{event}: {:?}", agent.told());
    }

    // One queue is denied: nothing of it comes to be, and of the other all.
    let denying = Recorder::new(|event| super::names(event, "-one"));
    let denied = told(&denying);
    let (of_one, of_two) = denied.split_at(denied.find("fd 0").unwrap());
    assert!(of_one.lines().all(|line| line == "-1 1" || line == "-1 2"), "{of_one}");
    assert!(
        bare.ends_with(of_two),
        "{bare}
---
{of_two}"
    );
}

/// All three need the right to read from another process; for oneself they are no event.
#[test]
fn pages_and_lists_of_another_process_are_judged_as_looking_into_it() {
    let agent = Recorder::new(|event| event.cell.kind == EventKind::PtraceAccessCheck);
    let numbers = [libc::SYS_migrate_pages, libc::SYS_move_pages, libc::SYS_get_robust_list];
    let script = format!(
        "import ctypes, os\n\
         libc=ctypes.CDLL(None,use_errno=True)\n\
         for number in {numbers:?}:\n  \
         assert libc.syscall(number,os.getppid(),0,0,0,0,0)==-1 and ctypes.get_errno()==1\n  \
         ctypes.set_errno(0)\n  \
         libc.syscall(number,os.getpid(),0,0,0,0,0); assert ctypes.get_errno()!=1"
    );
    assert_eq!(run(&agent, &[PYTHON, "-c", &script]).unwrap(), 0);
}

/// A workload has the descriptors that it has bare, and none of ours.
#[test]
fn no_descriptor_of_ours_is_the_workloads() {
    let script = "import os, sys\n\
         held=' '.join(sorted(os.listdir('/proc/self/fd')))\n\
         assert sys.argv[1] in ('tell', held), held\n\
         print(held)";
    let bare = Command::new(PYTHON).args(["-c", script, "tell"]).output().unwrap();
    let held = String::from_utf8(bare.stdout).unwrap();
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &[PYTHON, "-c", script, held.trim()]).unwrap(), 0);
}

/// Binds sockets by all kinds of paths below the working directory, and prints what they are called.
const NAMES_OF_SOCKETS: &str = r#"
import os, socket
def bound(path, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(path)
    print("own", made.getsockname())
    return made
here = os.getcwd()
os.makedirs("outer/inner")
os.symlink("outer/inner", "link")
for path in (f"{here}/absolute", "relative", "outer/inner/below", f"{here}/link/through", "./outer//inner/crooked"):
    listener = bound(path)
    listener.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    print("peer", client.getpeername(), listener.accept()[0].getsockname())
receiver = bound(f"{here}/receiver", socket.SOCK_DGRAM)
sender = bound(f"{here}/outer/sender", socket.SOCK_DGRAM)
sender.sendto(b"request", f"{here}/receiver")
request, address = receiver.recvfrom(100)
print("from", address)
receiver.sendto(b"answer", address)
print(sender.recv(100))
"#;

#[test]
fn a_socket_is_called_what_it_was_bound_by() {
    let scratch = Scratch::new("names-of-sockets");
    let program = scratch.write("names.py", NAMES_OF_SOCKETS);
    let work = format!("{}/work", scratch.0);
    let command = |output: &str| {
        let script =
            format!("rm -rf {work}; mkdir {work}; cd {work}; exec {PYTHON} {program} > {output}");
        ["/bin/sh".to_owned(), "-c".to_owned(), script]
    };
    let [bare, under] = ["bare", "under"].map(|name| format!("{}/{name}", scratch.0));
    let words = command(&bare);
    assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
    let agent = Recorder::new(allow);
    let words = command(&under);
    assert_eq!(run(&agent, &words.each_ref().map(String::as_str)).unwrap(), 0);
    let [bare, under] = [bare, under].map(|path| std::fs::read_to_string(path).unwrap());
    assert_eq!(bare.lines().count(), 14, "{bare}");
    assert_eq!(under, bare);
    assert!(agent.has(&format!("inode_mknod {work}/outer/inner/through")), "{:?}", agent.told());
}

/// Everybody could lead the path elsewhere: the socket is bound where it was judged, by its name alone.
#[test]
fn a_socket_is_bound_in_the_directory_that_was_judged() {
    let scratch = Scratch::new("bound-where-judged");
    let outer = format!("{}/outer", scratch.0);
    std::fs::create_dir_all(format!("{outer}/inner")).unwrap();
    std::fs::set_permissions(&outer, std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = format!("{outer}/inner/socket");
    let script = format!(
        "import socket; s=socket.socket(socket.AF_UNIX); s.bind('{path}'); s.listen()\n\
         assert s.getsockname()=='socket', s.getsockname()\n\
         c=socket.socket(socket.AF_UNIX); c.connect('{path}')"
    );
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &[PYTHON, "-c", &script]).unwrap(), 0);
    assert!(agent.has(&format!("inode_mknod {path}")), "{:?}", agent.told());
}
