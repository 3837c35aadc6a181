//! Signals, job control and full-screen programs, on a pseudo-terminal that script(1) makes.
//!
//! An interactive shell runs quixote as a user would. What is typed is sent when the screen shows
//! what a user would wait for.

use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::sandbox::Sandbox;

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";
/// How long a screen may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shell on a terminal of its own.
struct Session {
    child: Child,
    keyboard: Option<ChildStdin>,
    screen: Arc<Mutex<String>>,
    seen: usize,
    _sandbox: Sandbox,
}

impl Session {
    fn start() -> Self {
        let sandbox = Sandbox::new();
        // What runs the tests in the background ignores these, and a shell cannot undo that.
        let mut script = Command::new("env");
        script.args(["--default-signal=INT,QUIT,HUP,TSTP,TTIN,TTOU", "script"]);
        script.args(["-qfec", "bash --norc --noprofile -i", "/dev/null"]);
        sandbox.settle(&mut script);
        script.env("PS1", "$ ").env("TERM", "xterm");
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = script.spawn().expect("script(1) of util-linux");
        let keyboard = child.stdin.take();
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, copy) = (child.stdout.take().unwrap(), screen.clone());
        thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut octets) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&octets[..count]));
            }
        });
        let mut session = Self { child, keyboard, screen, seen: 0, _sandbox: sandbox };
        session.wait_for("$ ");
        session
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.keyboard.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }

    fn line(&mut self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    /// Waits until the screen shows a text after the last that was waited for.
    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let screen = self.screen.lock().unwrap();
            if let Some(at) = screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            drop(screen);
            thread::sleep(Duration::from_millis(20));
        }
        let screen = self.screen.lock().unwrap();
        panic!("no {text:?} after {:?}\n--- screen ---\n{screen}", &screen[..self.seen]);
    }

    /// Waits until vim has drawn all and shows its cursor: before that Ctrl-Z may stop it while it still
    /// sets the terminal up, and then it comes back without a screen of its own.
    fn wait_for_editor(&mut self) {
        self.wait_for("~ ");
        self.wait_for("\x1b[?25h");
    }

    /// Enters a line again and again until the screen shows a text.
    fn line_until(&mut self, line: &str, text: &str) {
        for _ in 0..PATIENCE.as_secs() {
            self.line(line);
            thread::sleep(Duration::from_secs(1));
            if self.screen.lock().unwrap()[self.seen..].contains(text) {
                break;
            }
        }
        self.wait_for(text);
    }

    /// The status of the last command. The quotes keep the echo of the line from being taken for
    /// the answer.
    fn expect_status(&mut self, status: i32) {
        self.line("echo sta''tus=$?.");
        self.wait_for("status=");
        self.wait_for(&format!("{status}."));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.keyboard.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LEARN: &str = "quixote learn --accept-rules none -o m.model --";
const GUARDED: &str = "quixote learn --on-crash kill --accept-rules none -o m.model --";

#[test]
fn run_ctrl_c_ends_the_workload_as_without_us() {
    for learn in [LEARN, GUARDED] {
        let mut session = Session::start();
        session.line(&format!("{learn} sh -c 'echo rea''dy; exec sleep 60'"));
        session.wait_for("ready");
        session.press(CTRL_C);
        session.wait_for("ended by signal 2");
        session.expect_status(130);
    }
}

#[test]
fn run_a_workload_that_handles_ctrl_c_decides_itself() {
    for learn in [LEARN, GUARDED] {
        let mut session = Session::start();
        session.line(&format!("{learn} bash -c 'trap \"echo han''dled; exit 7\" INT; echo rea''dy; while :; do sleep 0.1; done'"));
        session.wait_for("ready");
        session.press(CTRL_C);
        session.wait_for("handled");
        session.wait_for("ended with status 7");
        session.expect_status(7);
    }
}

#[test]
fn run_ctrl_backslash_ends_the_workload_as_without_us() {
    let mut session = Session::start();
    session.line(&format!("ulimit -c 0; {LEARN} sh -c 'echo rea''dy; exec sleep 60'"));
    session.wait_for("ready");
    session.press(CTRL_BACKSLASH);
    session.wait_for("ended by signal 3");
    session.expect_status(131);
}

#[test]
fn run_ctrl_z_stops_the_job_and_fg_continues_it() {
    for learn in [LEARN, GUARDED] {
        let mut session = Session::start();
        session
            .line(&format!("{learn} bash -c 'echo rea''dy; read line; echo go''t:$line; exit 5'"));
        session.wait_for("ready");
        session.press(CTRL_Z);
        session.wait_for("Stopped");
        session.line("jobs -s | grep -c Stop''ped");
        session.wait_for("1");
        session.line("fg");
        session.line("hello");
        session.wait_for("got:hello");
        session.wait_for("ended with status 5");
        session.expect_status(5);
    }
}

#[test]
fn run_a_stopped_job_continues_in_the_background() {
    for learn in [LEARN, GUARDED] {
        let mut session = Session::start();
        // Forks nothing: a child stopped between vfork and exec would keep its parent from stopping.
        session.line(&format!(
            "{learn} sh -c 'echo rea''dy; until test -e go; do :; done; echo do''ne'"
        ));
        session.wait_for("ready");
        session.press(CTRL_Z);
        session.wait_for("Stopped");
        session.line("bg");
        session.line("touch go");
        session.wait_for("done");
        session.wait_for("ended with status 0");
    }
}

#[test]
fn run_a_shell_in_the_workload_has_its_own_jobs() {
    for learn in [LEARN, GUARDED] {
        let mut session = Session::start();
        session.line(&format!("{learn} env PS1=inn''er: bash --norc --noprofile -i"));
        session.wait_for("inner:");
        session.line("sh -c 'echo rea\"\"dy; exec sleep 60'");
        session.wait_for("ready");
        session.press(CTRL_Z);
        session.wait_for("Stopped");
        session.wait_for("inner:");
        session.line("jobs -s | grep -c Stop''ped");
        session.wait_for("1");
        session.line("kill %1");
        // bash tells after a command that it waits for; it may miss the end of a job that it has just
        // continued until then, with or without us.
        session.line_until("/bin/true", "Terminated");
        session.line("exit 6");
        session.wait_for("ended with status 6");
        session.expect_status(6);
    }
}

#[test]
fn run_a_full_screen_program_works_and_nothing_is_written_over_it() {
    let mut session = Session::start();
    session.line(&format!("{LEARN} vim -u NONE -N text"));
    session.wait_for("\x1b[?1049h");
    session.wait_for_editor();
    session.press("ihello\x1b:wq\n");
    session.wait_for("\x1b[?1049l");
    session.wait_for("ended with status 0");
    session.line("cat te''xt");
    session.wait_for("hello");
}

#[test]
fn run_a_stopped_editor_comes_back() {
    let mut session = Session::start();
    session.line(&format!("{LEARN} vim -u NONE -N text"));
    session.wait_for_editor();
    session.press(CTRL_Z);
    session.wait_for("\x1b[?1049l");
    session.wait_for("Stopped");
    session.line("fg");
    session.wait_for_editor();
    session.press(":q!\n");
    session.wait_for("ended with status 0");
}

#[test]
fn run_top_works() {
    let mut session = Session::start();
    session.line(&format!("{LEARN} top"));
    session.wait_for("load average");
    session.press("q");
    session.wait_for("ended with status 0");
}

#[test]
fn run_a_denial_waits_until_a_full_screen_program_has_ended() {
    let mut session = Session::start();
    session.line("echo one > text; echo two > other");
    session.line(&format!("{LEARN} vim -u NONE -i NONE -N -n text"));
    session.wait_for("\x1b[?1049h");
    session.wait_for_editor();
    session.press(":r text\n:q!\n");
    session.wait_for("ended with status 0");
    session.line(
        "quixote enforce m.model --allow-unsigned --on-violation deny -- vim -u NONE -i NONE -N -n text",
    );
    session.wait_for("\x1b[?1049h");
    session.wait_for_editor();
    let begun = session.seen;
    session.press(":r other\n");
    session.wait_for("E484");
    // Longer than quixote waits between two looks at the screen.
    thread::sleep(Duration::from_millis(500));
    session.press("\n:q!\n");
    session.wait_for("\x1b[?1049l");
    let shown = session.screen.lock().unwrap()[begun..session.seen].to_owned();
    assert!(!shown.contains("quixote:"), "{shown}");
    session.wait_for("quixote: denied");
    session.wait_for("outside the model");
}

#[test]
fn run_accept_asks_on_a_terminal_and_no_means_no() {
    let mut session = Session::start();
    session.line("echo one > text; echo two > other");
    session.line(&format!("{LEARN} cat text"));
    session.wait_for("ended with status 0");
    session.line("quixote enforce m.model --name c --allow-unsigned -- cat other");
    session.wait_for("quixote: denied");
    session.wait_for("ended with status 1");
    session.line("quixote accept c --all -o m.model");
    session.wait_for("would change what the model allows");
    session.wait_for("Add this to the model? [y/n]");
    session.line("n");
    session.wait_for("nothing is written");
    session.line("quixote accept c --all -o m.model");
    session.wait_for("[y/n]");
    session.line("y");
    session.wait_for("serial 2");
}

#[test]
fn run_learning_asks_on_a_terminal_about_each_rule() {
    let mut session = Session::start();
    let varies = "sh -c 'echo x > made.$$'";
    session.line(&format!("quixote learn -o v.model --runs 3 -- {varies}"));
    session.wait_for("rule 1:");
    session.wait_for("gives away:");
    session.wait_for("[y/n]");
    session.line("n");
    session.wait_for("refused");
    session.wait_for("not converged");
}

#[test]
fn run_ctrl_c_at_a_question_ends_us() {
    let mut session = Session::start();
    session.line("quixote learn -o v.model --runs 3 -- sh -c 'echo x > made.$$'");
    session.wait_for("[y/n]");
    session.press(CTRL_C);
    session.wait_for("$ ");
    session.expect_status(130);
}

#[test]
fn run_a_suspended_inner_shell_gives_the_terminal_back() {
    for learn in [LEARN, GUARDED] {
        let mut session = Session::start();
        session.line(&format!("{learn} env PS1=inn''er: bash --norc --noprofile -i"));
        session.wait_for("inner:");
        session.line("suspend");
        session.wait_for("Stopped");
        session.line("echo ou''ter");
        session.wait_for("outer");
        session.line("fg");
        session.line("echo ba''ck; exit 3");
        session.wait_for("back");
        session.wait_for("ended with status 3");
        session.expect_status(3);
    }
}
