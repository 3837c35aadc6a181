//! What a program turns out to be, and when that is settled.
//!
//! Each test is of a fault that the races in `conformance/races` have found.

use super::Recorder;
use super::allow;
use super::names;
use super::run;
use super::scratch;
use super::write_program;
use tsem::Description;
use tsem::EventKind;

/// A copy of a program, under a name that the agents below know.
fn copy_of(program: &str, name: &str) -> String {
    let path = scratch(name);
    write_program(&path, std::fs::read(program).unwrap());
    path
}

fn is_exec_of(event: &Description, name: &str) -> bool {
    event.cell.kind == EventKind::BprmCommittedCreds && names(event, name)
}

fn place_of(event: &Description) -> String {
    let place = event.places().next().unwrap();
    String::from_utf8(place.path.clone()).unwrap()
}

/// What an upgrade does to the old file: it changes names, and with them the time of change.
fn link_during_exec(event: &Description) -> bool {
    if is_exec_of(event, "upgraded") {
        let path = place_of(event);
        std::fs::hard_link(&path, format!("{path}.old")).unwrap();
    }
    false
}

#[test]
fn an_exec_survives_a_change_of_its_files_names() {
    let path = copy_of("/bin/true", "upgraded");
    let agent = Recorder::new(link_during_exec);
    let status = run(&agent, &[&path]);
    std::fs::remove_file(format!("{path}.old")).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(status.unwrap(), 0);
    assert!(agent.has("file_open /etc/ld.so.cache"), "it went on: {:?}", agent.told());
}

/// Another program in the same file, with its old size and time of modification.
fn overwrite_during_exec(event: &Description) -> bool {
    if is_exec_of(event, "overwritten") {
        let path = place_of(event);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let before = file.metadata().unwrap();
        let mut content = std::fs::read(&path).unwrap();
        // Text that nothing depends on: the last section's name, or what follows it.
        *content.last_mut().unwrap() ^= 1;
        std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }
    false
}

#[test]
fn a_program_that_was_overwritten_during_its_exec_does_not_go_on() {
    let path = copy_of("/bin/true", "overwritten");
    let agent = Recorder::new(overwrite_during_exec);
    let status = run(&agent, &[&path]);
    std::fs::remove_file(&path).unwrap();
    assert_ne!(status.ok(), Some(0));
    assert!(!agent.has("file_open /etc/ld.so.cache"), "{:?}", agent.told());
}

/// A static program that waits and makes no call that would be judged.
#[cfg(target_arch = "x86_64")]
fn waiting_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    // mov eax, SYS_pause; syscall; jmp back
    let code = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(16, 0);
    let half = |program: &mut Vec<u8>, values: &[u16]| {
        for value in values {
            program.extend(value.to_le_bytes());
        }
    };
    half(&mut program, &[2, 62, 1, 0]);
    for word in [BASE + 120, 64, 0] {
        program.extend(u64::to_le_bytes(word));
    }
    half(&mut program, &[0, 0, 64, 56, 1, 64, 0, 0]);
    // PT_LOAD, readable and executable
    half(&mut program, &[1, 0, 5, 0]);
    let size = 120 + code.len() as u64;
    for word in [0, BASE, BASE, size, size, 4096] {
        program.extend(u64::to_le_bytes(word));
    }
    program.extend(code);
    program
}

#[cfg(target_arch = "x86_64")]
fn told_after(kill: &str, name: &str) -> Vec<String> {
    let path = scratch(name);
    write_program(&path, waiting_program());
    let script = format!(
        "import os,signal,subprocess,time\n\
         child=subprocess.Popen(['{path}'],start_new_session=True); time.sleep(0.2)\n\
         try: {kill}\nexcept OSError: pass\n\
         child.kill(); assert child.wait()==-9"
    );
    let agent = Recorder::new(allow);
    let status = run(&agent, &["/usr/bin/python3", "-c", &script]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(status.unwrap(), 0);
    agent.told()
}

/// Its own mapping is told once it is known what runs, so it comes before what is done to it.
#[cfg(target_arch = "x86_64")]
fn assert_settled_before(told: &[String], name: &str, event: &str) {
    let settled = told.iter().position(|t| t.starts_with("mmap_file ") && t.ends_with(name));
    let judged = told.iter().position(|t| t.starts_with(event));
    assert!(settled.is_some() && judged.is_some(), "{told:?}");
    assert!(settled < judged, "{told:?}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_silent_program_is_what_it_executed_when_its_group_is_killed() {
    let told = told_after("os.killpg(child.pid,signal.SIGCONT)", "killed-group");
    assert_settled_before(&told, "killed-group", "task_kill");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_silent_program_is_what_it_executed_when_it_is_looked_into() {
    let look = "import resource; resource.prlimit(child.pid,resource.RLIMIT_CORE)";
    assert_settled_before(&told_after(look, "limited"), "limited", "task_prlimit");
    let open = "open(f'/proc/{child.pid}/mem').close()";
    assert_settled_before(&told_after(open, "opened"), "opened", "ptrace_access_check");
}

/// A process's first thread may end before the others; what procfs says of the process is empty
/// from then on. An exec that fails then has failed, whoever asks.
#[test]
fn an_exec_that_failed_is_none_though_the_first_thread_has_ended() {
    let script = "import ctypes,os,threading,time\n\
                  libc=ctypes.CDLL(None)\n\
                  def last():\n\
                  \x20time.sleep(.3)\n\
                  \x20assert libc.syscall(59,b'/bin/true',ctypes.c_void_p(1),None)==-1\n\
                  \x20time.sleep(.6); os.open('/etc/hostname',0); os._exit(0)\n\
                  child=os.fork()\n\
                  if child==0: threading.Thread(target=last).start(); libc.syscall(60,0)\n\
                  time.sleep(.6)\n\
                  try: os.kill(child,0)\n\
                  except OSError: pass\n\
                  assert os.waitpid(child,0)[1]==0";
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    let log = agent.log();
    let of_child = log.events.iter().find(|event| is_exec_of(event, "true")).unwrap();
    let outcomes: Vec<_> =
        log.outcomes.iter().filter(|(process, _)| *process == of_child.process).collect();
    assert!(!outcomes.is_empty(), "it was settled");
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == tsem::ExecOutcome::Failed));
    let opened = log.events.iter().find(|event| names(event, "hostname")).unwrap();
    assert_eq!(opened.process, of_child.process);
}

/// A double fork that makes no judged call: nobody has ever met who ends there. Before Linux 6.11
/// the run would wait for it for ever.
#[test]
fn an_orphan_that_nobody_met_is_reaped() {
    let told = scratch("orphan");
    let script = "import os,sys,time\n\
                  here,there=os.pipe(); child=os.fork()\n\
                  if child==0:\n\
                  \x20if os.fork()==0: os.write(there,b'%d' % os.getpid())\n\
                  \x20os._exit(0)\n\
                  orphan=os.read(here,20).decode(); os.waitpid(child,0)\n\
                  def runs():\n\
                  \x20try: return ') Z' not in open(f'/proc/{orphan}/stat').read()\n\
                  \x20except OSError: return False\n\
                  while runs(): time.sleep(.01)\n\
                  open(sys.argv[1],'w').write(orphan)";
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script, &told]).unwrap(), 0);
    let orphan = std::fs::read_to_string(&told).unwrap();
    std::fs::remove_file(&told).unwrap();
    let parent = format!("\nPPid:\t{}\n", std::process::id());
    let status = std::fs::read_to_string(format!("/proc/{orphan}/status")).unwrap_or_default();
    assert!(!status.contains(&parent), "{status}");
}

/// Threads have pidfds of their own since Linux 6.9; before, a process is asked for its descriptors.
fn threads_can_be_asked() -> bool {
    portable_source::release::of_kernel() >= (6, 9)
}

/// Two files, of which a thread holds the first by a descriptor that means the second elsewhere.
const HELD: &str = "import ctypes,os,sys,threading,time\n\
                  libc=ctypes.CDLL(None); own,other=sys.argv[1:]\n\
                  held=os.open(other,0)\n";
const UNSHARED: &str = "def last():\n\
                  \x20assert libc.unshare(0x400)==0\n\
                  \x20fd=os.open(own,0); assert libc.dup2(fd,held)==held\n\
                  \x20os.fchmod(held,0o640)\n\
                  one=threading.Thread(target=last); one.start(); one.join()";
const ENDED: &str = "def last():\n\
                  \x20time.sleep(.3); os.fchmod(os.open(own,0),0o600); os._exit(0)\n\
                  child=os.fork()\n\
                  if child==0: threading.Thread(target=last).start(); libc.syscall(60,0)\n\
                  assert os.waitpid(child,0)[1]==0";

fn mode_of(path: &str) -> u32 {
    let permissions = std::fs::metadata(path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777
}

/// The descriptor is the caller's, whatever became of the process's first thread.
#[test]
fn a_descriptor_is_that_of_the_thread_that_names_it() {
    if !threads_can_be_asked() {
        return;
    }
    let [own, other] = ["thread-own", "thread-other"].map(scratch);
    std::fs::write(&own, "").unwrap();
    std::fs::write(&other, "").unwrap();
    let others = mode_of(&other);
    for (script, mode) in [(UNSHARED, 0o640), (ENDED, 0o600)] {
        let agent = Recorder::new(allow);
        let script = [HELD, script].concat();
        let status = run(&agent, &["/usr/bin/python3", "-c", &script, &own, &other]);
        assert_eq!(status.unwrap(), 0, "{:?}", agent.told());
        assert_eq!((mode_of(&own), mode_of(&other)), (mode, others));
    }
    std::fs::remove_file(&own).unwrap();
    std::fs::remove_file(&other).unwrap();
}

/// Stores through a mapping of a file in memory leave no trace in its times.
#[test]
fn a_memory_file_is_hashed_whenever_it_is_mapped() {
    let script = "import mmap,os,time\n\
                  m=os.memfd_create('code'); os.write(m,bytes(4096)); time.sleep(.1)\n\
                  shared=mmap.mmap(m,4096)\n\
                  mmap.mmap(m,4096,prot=5); shared[0]=1; mmap.mmap(m,4096,prot=5)";
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    let log = agent.log();
    let digests: Vec<_> = log
        .events
        .iter()
        .filter(|event| {
            event.cell.kind == EventKind::MmapFile && names(event, "memfd:code (deleted)")
        })
        .map(|event| format!("{:?}", event.cell.values[0]))
        .collect();
    assert_eq!(digests.len(), 2);
    assert_ne!(digests[0], digests[1], "the content was another");
}

fn is_unfilterable(event: &Description) -> bool {
    event.cell.kind == EventKind::UnfilterableCall
}

/// Two processes in one address space, each with one thread: either can exchange what the other
/// has had judged.
#[test]
fn memory_is_not_made_executable_unseen_beside_another_process_in_it() {
    const START: &str = "import ctypes,mmap,os\n\
                  libc=ctypes.CDLL(None)\n\
                  def at(page): return ctypes.addressof(ctypes.c_char.from_buffer(page))\n\
                  page=mmap.mmap(-1,4096,flags=0x22); stack=mmap.mmap(-1,65536)\n";
    const PARTNER: &str = "top=ctypes.c_void_p(at(stack)+65536)\n\
                  partner=libc.clone(ctypes.cast(libc.pause,ctypes.c_void_p),top,0x111,None)\n";
    const END: &str = "assert libc.mprotect(ctypes.c_void_p(at(page)),4096,5)==0\n\
                  if 'partner' in globals(): os.kill(partner,9)";
    for (script, seen) in [([START, END].concat(), true), ([START, PARTNER, END].concat(), false)] {
        let agent = Recorder::new(allow);
        assert_eq!(run(&agent, &["/usr/bin/python3", "-c", &script]).unwrap(), 0);
        let unseen = agent.log().events.iter().any(is_unfilterable);
        assert_eq!(unseen, !seen, "{:?}", agent.told());
    }
}

/// Others see a directory before the agent has heard that it was made.
#[test]
fn nothing_is_judged_below_a_name_before_its_making_is_told() {
    let path = scratch("below-told-late");
    let _ = std::fs::remove_dir_all(&path);
    let script = "mkdir $0 & until [ -d $0 ]; do :; done; : > $0/f; wait; rm -r $0";
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &["/bin/sh", "-c", script, &path]).unwrap(), 0);
    let log = agent.log();
    let made = log.made.iter().position(|made| *made == path.as_bytes()).unwrap();
    let below = format!("inode_create {path}/f");
    let judged = log.events.iter().position(|event| super::tell(event) == below).unwrap();
    assert!(log.made_after[made] <= judged, "judged as event {judged}: {:?}", log.made_after);
}
