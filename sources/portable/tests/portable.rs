//! Real programs under the portable source: exact events, denials without effect, failing closed.
//!
//! Every test runs as whoever runs the tests; `everything_holds_without_privilege` runs them all
//! again as `nobody` when that is root.

#[path = "portable/file_system.rs"]
mod file_system;
#[path = "portable/settling.rs"]
mod settling;
#[path = "portable/stalling.rs"]
mod stalling;

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use portable_source::Launch;
use portable_source::LaunchError;
use tsem::Agent;
use tsem::Description;
use tsem::Effect;
use tsem::EventKind;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::ProcessId;
use tsem::Value;
use tsem::Verdict;

/// What makes such a path takes long to be told of.
const TOLD_LATE: &[u8] = b"-told-late";

/// Records everything; denies what its rule says.
struct Recorder {
    deny: fn(&Description) -> bool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    events: Vec<Description>,
    outcomes: Vec<(ProcessId, ExecOutcome)>,
    parents: HashMap<ProcessId, ProcessId>,
    alive: Vec<ProcessId>,
    made: Vec<Vec<u8>>,
    /// How many events had been judged when each of `made` was told.
    made_after: Vec<usize>,
    lost: usize,
}

impl Recorder {
    fn new(deny: fn(&Description) -> bool) -> Arc<Self> {
        Arc::new(Self { deny, log: Mutex::default() })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Event names with the paths that they name.
    fn told(&self) -> Vec<String> {
        self.log().events.iter().map(tell).collect()
    }

    fn has(&self, told: &str) -> bool {
        self.told().iter().any(|event| event == told)
    }
}

fn tell(event: &Description) -> String {
    let places = event.places().map(|place| String::from_utf8_lossy(&place.path).into_owned());
    let places: Vec<_> = places.collect();
    format!("{} {}", event.cell.kind.name(), places.join(" "))
}

fn names(event: &Description, name: &str) -> bool {
    event.places().any(|place| place.path.ends_with(name.as_bytes()))
}

impl Agent for Recorder {
    fn started(&self, process: ProcessId) {
        self.log().alive.push(process);
    }
    fn forked(&self, parent: ProcessId, child: ProcessId) {
        let mut log = self.log();
        assert!(log.alive.contains(&parent), "a parent is introduced first");
        log.alive.push(child);
        log.parents.insert(child, parent);
    }
    fn exited(&self, process: ProcessId) {
        self.log().alive.retain(|alive| *alive != process);
    }
    fn judge(&self, event: &Description) -> Verdict {
        let mut log = self.log();
        assert!(log.alive.contains(&event.process), "a process is introduced before its events");
        log.events.push(event.clone());
        if (self.deny)(event) { Verdict::Deny } else { Verdict::Allow }
    }
    fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome) {
        self.log().outcomes.push((process, outcome));
    }
    fn effect(&self, _: ProcessId, effect: &Effect<'_>) {
        if let Effect::Made(path) = effect {
            if path.ends_with(TOLD_LATE) {
                std::thread::sleep(Duration::from_millis(200));
            }
            let mut log = self.log();
            let judged = log.events.len();
            log.made.push(path.to_vec());
            log.made_after.push(judged);
        }
    }
    fn lost(&self, _: Option<ProcessId>, _: Loss) {
        self.log().lost += 1;
    }
}

/// Workloads of several tests must not be one another's orphans.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(agent: &Arc<Recorder>, command: &[&str]) -> Result<i32, LaunchError> {
    let _one = alone();
    let running = Launch::new(command).prepare()?.start(agent.clone())?;
    let status = running.wait();
    running.wait_for_all();
    assert!(agent.log().alive.is_empty(), "every process was seen to end");
    Ok(status.code().unwrap_or(-1))
}

fn scratch(name: &str) -> String {
    let path = format!("/tmp/portable-{}-{name}", std::process::id());
    let _ = std::fs::remove_file(&path);
    path
}

/// Writes a program by a process of its own: a descriptor that is open for writing here would be
/// inherited by what another test starts just now, and the program would be busy.
fn write_program(path: &str, content: impl AsRef<[u8]>) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\"", path])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(content.as_ref()).unwrap();
    assert!(writer.wait().unwrap().success());
}

fn allow(_: &Description) -> bool {
    false
}

#[test]
fn first_events_are_the_workloads_own_exec() {
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &["/bin/true"]).unwrap(), 0);
    let told = agent.told();
    assert!(told[0].starts_with("file_open /") && told[0].ends_with("/bin/true"), "{told:?}");
    assert!(told[1].contains("/ld-linux"), "{told:?}");
    assert!(told[2].starts_with("bprm_committed_creds ") && told[2].ends_with("/bin/true"));
    assert!(told[3].starts_with("mmap_file ") && told[3].ends_with("/bin/true"));
    assert!(told[4].starts_with("mmap_file ") && told[4].contains("/ld-linux"));
    assert_eq!(told[5], "file_open /etc/ld.so.cache");
    assert_eq!(told.len(), 8, "{told:?}");
    assert_eq!(agent.log().outcomes.len(), 1);
    let log = agent.log();
    for value in log.events[..5].iter().flat_map(|event| &event.cell.values) {
        if let Value::File(file) = value {
            assert!(!file.digest.is_zero(), "what is executed has a digest");
        }
    }
}

#[test]
fn two_runs_give_the_same_events() {
    let [first, second] = [0, 1].map(|_| {
        let agent = Recorder::new(allow);
        assert_eq!(run(&agent, &["/bin/cat", "/etc/passwd"]).unwrap(), 0);
        agent.told()
    });
    assert_eq!(first, second);
    assert!(first.contains(&"file_open /etc/passwd".into()));
}

#[test]
fn a_file_is_created_with_the_callers_umask() {
    use std::os::unix::fs::MetadataExt;
    let agent = Recorder::new(allow);
    let path = scratch("created");
    let script = format!("umask 027; echo text > {path}; echo more >> {path}");
    assert_eq!(run(&agent, &["/bin/sh", "-c", &script]).unwrap(), 0);
    assert!(agent.has(&format!("inode_create {path}")));
    assert_eq!(agent.log().made, [path.as_bytes()]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text\nmore\n");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_denied_open_has_no_effect() {
    let agent = Recorder::new(|event| names(event, "-denied"));
    let path = scratch("denied");
    let script = format!("echo text > {path} || exit 7");
    assert_eq!(run(&agent, &["/bin/sh", "-c", &script]).unwrap(), 7);
    assert!(!std::path::Path::new(&path).exists());
    std::fs::write(&path, "kept").unwrap();
    let _ = run(&agent, &["/bin/sh", "-c", &script]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept", "not even truncated");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_denied_exec_does_not_run() {
    let agent = Recorder::new(|event| {
        event.cell.kind == EventKind::BprmCommittedCreds && names(event, "/touch")
    });
    let path = scratch("touched");
    let script = format!("touch {path}; echo $?; exit 9");
    assert_eq!(run(&agent, &["/bin/sh", "-c", &script]).unwrap(), 9);
    assert!(!std::path::Path::new(&path).exists());
    let denied = Recorder::new(|event| event.cell.kind == EventKind::BprmCommittedCreds);
    assert!(matches!(run(&denied, &["/bin/true"]), Err(LaunchError::Exec(_))));
}

#[test]
fn a_call_without_a_handler_is_refused_and_reported() {
    let agent = Recorder::new(allow);
    let script = "import ctypes; l=ctypes.CDLL(None,use_errno=True)\n\
                  assert l.syscall(304,0,0,0)==-1 and ctypes.get_errno()==1";
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    assert!(agent.has("unfilterable_call "));
}

#[test]
fn errors_of_the_file_system_are_no_events() {
    let agent = Recorder::new(allow);
    assert_ne!(run(&agent, &["/bin/cat", "/nowhere", "/etc/passwd/x"]).unwrap(), 0);
    assert!(!agent.told().iter().any(|told| told.contains("nowhere") || told.ends_with("/x")));
}

#[test]
fn a_pipeline_and_a_script_have_their_own_processes() {
    let agent = Recorder::new(allow);
    let path = scratch("script");
    write_program(&path, "#!/bin/sh\ncat /etc/passwd | grep root | wc -l\n");
    assert_eq!(run(&agent, &[&path]).unwrap(), 0);
    let log = agent.log();
    let execs: Vec<_> =
        log.events.iter().filter(|e| e.cell.kind == EventKind::BprmCommittedCreds).collect();
    assert_eq!(execs.len(), 4);
    assert!(names(execs[0], &path), "the script is a field of its own");
    assert!(log.parents.len() >= 3);
    drop(log);
    std::fs::remove_file(path).unwrap();
}

/// Whether a child has ended is a matter of time; whose child it is is not.
#[test]
fn a_child_that_has_ended_is_signalled_as_what_it_was() {
    let script = "import os,signal,subprocess\n\
                  def ended(pid): os.waitid(os.P_PID,pid,os.WEXITED|os.WNOWAIT); os.kill(pid,15)\n\
                  silent=os.fork()\n\
                  if silent==0: os._exit(0)\n\
                  ended(silent); os.waitpid(silent,0)\n\
                  child=subprocess.Popen(['/bin/true']); ended(child.pid); child.wait()\n\
                  try: os.kill(child.pid,15); assert 0\nexcept ProcessLookupError: pass";
    let agent = Recorder::new(allow);
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    let log = agent.log();
    let signals: Vec<_> =
        log.events.iter().filter(|event| event.cell.kind == EventKind::TaskKill).collect();
    assert_eq!(signals.len(), 2, "nobody is signalled after the wait");
    for signal in signals {
        let target = signal.targets[0].expect("the child is of the namespace");
        assert_eq!(log.parents[&target], signal.process);
    }
}

#[test]
fn proc_self_is_the_caller() {
    let agent = Recorder::new(allow);
    let script = "import os\n\
                  s=open('/proc/self/stat').read().split()[0]; assert int(s)==os.getpid()\n\
                  assert os.readlink('/proc/self/exe') in open('/proc/self/maps').read()\n\
                  f=open('/etc/hostname'); assert open('/dev/fd/%d'%f.fileno()).read()==f.read()\n\
                  p=os.getppid()\n\
                  try: open('/proc/%d/environ'%p); assert 0\n\
                  except PermissionError: pass";
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
}

#[test]
fn many_threads_open_at_once() {
    let agent = Recorder::new(allow);
    let script = "import threading\n\
                  def storm():\n  for i in range(200): open('/etc/passwd').close()\n\
                  ts=[threading.Thread(target=storm) for _ in range(8)]\n\
                  [t.start() for t in ts]; [t.join() for t in ts]";
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    let opens = agent.told().iter().filter(|told| *told == "file_open /etc/passwd").count();
    assert_eq!(opens, 1600);
}

#[test]
fn a_daemon_keeps_its_lineage() {
    let agent = Recorder::new(allow);
    let script = "import os,time\n\
                  if os.fork()==0:\n  os.setsid()\n  if os.fork(): os._exit(0)\n  \
                  time.sleep(0.3); os.execv('/bin/cat',['cat','/etc/hostname'])\n\
                  os.wait()";
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    assert!(agent.has("file_open /etc/hostname"));
    assert_eq!(agent.log().lost, 0);
}

#[test]
fn vfork_and_memfd_exec_are_judged() {
    let agent = Recorder::new(allow);
    let script = "import os,subprocess\n\
                  assert subprocess.run(['/bin/echo','x'],capture_output=True).stdout==b'x\\n'\n\
                  pid=os.posix_spawn('/bin/true',['true'],{}); assert os.waitpid(pid,0)[1]==0\n\
                  m=os.memfd_create('evil'); os.write(m,open('/bin/true','rb').read())\n\
                  os.execve(m,['evil'],{})";
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", script]).unwrap(), 0);
    assert!(agent.has("bprm_committed_creds /memfd:evil (deleted)"), "{:?}", agent.told());
}

#[test]
fn a_fifo_stalls_nobody_and_signals_reach_its_opener() {
    let agent = Recorder::new(allow);
    let path = scratch("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let script = format!(
        "import os,signal,threading,time\n\
         hits=[]; signal.signal(signal.SIGALRM,lambda *a:hits.append(1))\n\
         signal.setitimer(signal.ITIMER_REAL,1.5)\n\
         def write():\n  [open('/etc/passwd').close() for _ in range(50)]; hits.append(2)\n  \
         time.sleep(2.5); os.close(os.open('{path}',os.O_WRONLY))\n\
         writer=threading.Thread(target=write); writer.start()\n\
         os.open('{path}',os.O_RDONLY); writer.join(); assert hits==[2,1], hits\n\
         class Out(Exception): pass\n\
         def leave(*a): raise Out\n\
         signal.signal(signal.SIGALRM,leave)\n\
         try: signal.setitimer(signal.ITIMER_REAL,0.5); os.open('{path}',os.O_RDONLY); assert 0\n\
         except Out: pass"
    );
    assert_eq!(run(&agent, &["/usr/bin/python3", "-c", &script]).unwrap(), 0);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn killing_the_supervisor_closes_everything() {
    let mut supervisor = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "supervise_until_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("open")));
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(lines.any(|line| line == "errno 38"), "an open after the kill fails with ENOSYS");
}

/// Only as the victim of `killing_the_supervisor_closes_everything`.
#[test]
#[ignore = "runs until it is killed"]
fn supervise_until_killed() {
    // The first process dies with the supervisor; what it forked must be without effect.
    let script = "import os,time\n\
                  if os.fork(): time.sleep(60)\n\
                  open('/etc/passwd'); print('open',flush=True)\n\
                  for i in range(1000):\n  time.sleep(0.01)\n  try: open('/etc/passwd').close()\n  \
                  except OSError as e: print('errno',e.errno,flush=True); break";
    let _ = run(&Recorder::new(allow), &["/usr/bin/python3", "-c", script]);
}

#[test]
fn everything_holds_without_privilege() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|line| line.starts_with("Uid:\t0")) {
        return;
    }
    let copy = format!("/tmp/portable-{}-tests", std::process::id());
    write_program(&copy, std::fs::read("/proc/self/exe").unwrap());
    let passed = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", &copy, "--test-threads=1"])
        .current_dir("/")
        .status()
        .unwrap();
    std::fs::remove_file(copy).unwrap();
    assert!(passed.success());
}

/// Whoever exchanges a script after its exec was judged ends the namespace before the interpreter
/// has read it.
#[test]
fn an_exchanged_script_is_never_read() {
    let (script, evil, mark) = (scratch("exchanged"), scratch("evil"), scratch("mark"));
    write_program(&script, "#!/bin/sh\nexit 7\n");
    write_program(&evil, format!("#!/bin/sh\n: > {mark}\nexit 8\n"));
    assert_eq!(run(&Recorder::new(allow), &[&script]).unwrap(), 7);
    // The exchange happens while the exec is being judged: as late as it gets.
    let exchanging = Recorder::new(|event| {
        if event.cell.kind == EventKind::BprmCommittedCreds && names(event, "-exchanged") {
            let path = |name| format!("/tmp/portable-{}-{name}", std::process::id());
            std::fs::rename(path("evil"), path("exchanged")).unwrap();
        }
        false
    });
    let _ = run(&exchanging, &[&script]);
    assert!(!std::path::Path::new(&mark).exists());
    std::fs::remove_file(script).unwrap();
}
