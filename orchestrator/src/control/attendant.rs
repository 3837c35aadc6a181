//! Waits for whoever wants something of a running namespace, and for time to pass.
//!
//! A thread does so until somebody who stays with the workload does it in its stead: each thread costs a namespace that
//! does nothing tens of KiB of kernel memory. Whoever connects is answered by a thread that lives as long as that
//! takes: one at a time for each socket, so that who asks for the record does not wait for who replaces a model.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use rustix::event::EventfdFlags;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

/// Before whoever could not be received is received again.
const PAUSE: Duration = Duration::from_millis(100);

/// What it does takes little; a stack of the usual size has page tables of its own.
const STACK: usize = 512 * 1024;

/// Held while it answers, by one thread.
type Answer = Arc<Mutex<dyn Fn(UnixStream) + Send>>;

/// Does what is due, and says when to look again.
pub(crate) type Chore = Box<dyn FnMut() -> Duration + Send>;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Attendant {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Desk {
    /// Wakes the thread.
    bell: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    chore: Option<Chore>,
    /// When the chore is to be done again.
    due: Option<Instant>,
    /// The thread is wanted no more.
    over: bool,
}

/// A socket, and what is done with whoever connects.
struct Post {
    listener: Arc<UnixListener>,
    answer: Answer,
    busy: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("posts", &self.posts.len()).finish_non_exhaustive()
    }
}

impl Attendant {
    /// # Errors
    ///
    /// There is no thread, or no descriptor.
    pub(crate) fn start() -> io::Result<Self> {
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let desk = Arc::new(Desk { bell, state: Mutex::default() });
        let attending = desk.clone();
        let thread = std::thread::Builder::new().name("control".into()).stack_size(STACK);
        let thread = thread.spawn(move || attending.attend())?;
        Ok(Self { desk, thread: Mutex::new(Some(thread)) })
    }

    /// Does what the thread did, which ends: waits once, until there is something to read from one of `others`, somebody
    /// has called, or `pause` has passed. Which of `others` can be read.
    ///
    /// # Errors
    ///
    /// Nothing can be waited for.
    pub(crate) fn stand_in(
        &self,
        others: &[BorrowedFd<'_>],
        pause: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.dismiss();
            // One that panicked has said so.
            let _ = thread.join();
        }
        self.desk.turn(others, pause)
    }

    fn dismiss(&self) {
        self.desk.lock().over = true;
        self.desk.ring();
    }

    /// Answers whoever connects from now on.
    pub(crate) fn serve(
        &self,
        listener: UnixListener,
        answer: impl Fn(UnixStream) + Send + 'static,
    ) {
        // Whoever called and hung up again must not be waited for. It does not fail for a socket.
        let _ = listener.set_nonblocking(true);
        let post = Post {
            listener: Arc::new(listener),
            answer: Arc::new(Mutex::new(answer)),
            busy: false,
        };
        self.desk.lock().posts.push(post);
        self.desk.ring();
    }

    /// Does this again and again from now on.
    pub(crate) fn take_on(&self, chore: Chore) {
        let mut state = self.desk.lock();
        (state.chore, state.due) = (Some(chore), None);
        drop(state);
        self.desk.ring();
    }

    /// No more of what was taken on; what is being done is done when this returns.
    pub(crate) fn leave_off(&self) {
        self.desk.lock().chore = None;
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // It fails where it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn attend(self: &Arc<Self>) {
        while !self.lock().over {
            if self.turn(&[], None).is_err() {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Does what is due, waits for the bell, a caller, one of `others` or the time, and has whoever calls answered.
    fn turn(
        self: &Arc<Self>,
        others: &[BorrowedFd<'_>],
        pause: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        let (listeners, until) = self.lock().look();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.into_iter().chain(pause).min();
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let sockets = listeners.iter().map(|(_, listener)| listener.as_fd());
        let fds = sockets.chain([self.bell.as_fd()]).chain(others.iter().copied());
        let mut polled: Vec<_> =
            fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, left.as_ref()) {
            // Whoever is there is there the next time.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        let ready: Vec<bool> = polled.iter().map(|each| !each.revents().is_empty()).collect();
        for ((at, _), _) in listeners.iter().zip(&ready).filter(|(_, ready)| **ready) {
            self.receive(*at);
        }
        Ok(ready[listeners.len() + 1..].to_vec())
    }

    fn receive(self: &Arc<Self>, at: usize) {
        let listener = self.lock().posts[at].listener.clone();
        match listener.accept() {
            Ok((stream, _)) => self.answer(at, stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Without descriptors whoever called is still there the next time.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }

    fn answer(self: &Arc<Self>, at: usize, stream: UnixStream) {
        let mut state = self.lock();
        let post = &mut state.posts[at];
        post.busy = true;
        let done = Done { desk: self.clone(), at };
        let call = Call { answer: post.answer.clone(), stream: Arc::new(Mutex::new(Some(stream))) };
        drop(state);
        let calling = call.clone();
        let answering = std::thread::Builder::new().name("answer".into()).spawn(move || {
            calling.answer();
            drop(done);
        });
        if answering.is_err() {
            // The workload may have taken all the threads there are.
            call.answer();
        }
    }
}

/// Somebody who is to be answered once.
#[derive(Clone)]
struct Call {
    answer: Answer,
    stream: Arc<Mutex<Option<UnixStream>>>,
}

impl Call {
    fn answer(&self) {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stream) = stream {
            self.answer.lock().unwrap_or_else(PoisonError::into_inner)(stream);
        }
    }
}

impl State {
    /// Does what is due. Who waits for callers, and until when.
    fn look(&mut self) -> (Vec<(usize, Arc<UnixListener>)>, Option<Instant>) {
        if let Some(chore) = &mut self.chore
            && self.due.is_none_or(|due| Instant::now() >= due)
        {
            self.due = Some(Instant::now() + chore());
        }
        (self.idle(), self.due.filter(|_| self.chore.is_some()))
    }

    fn idle(&self) -> Vec<(usize, Arc<UnixListener>)> {
        let idle = self.posts.iter().enumerate().filter(|(_, post)| !post.busy);
        idle.map(|(at, post)| (at, post.listener.clone())).collect()
    }
}

/// Whoever called has been answered, or whoever answered panicked.
struct Done {
    desk: Arc<Desk>,
    at: usize,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.desk.lock().posts[self.at].busy = false;
        self.desk.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn listener(folder: &tempfile::TempDir, name: &str) -> (std::path::PathBuf, UnixListener) {
        let path = folder.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        (path, listener)
    }

    fn asked(path: &std::path::Path) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn who_asks_at_one_socket_does_not_wait_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let attendant = Attendant::start().unwrap();
        let (slow, listens) = listener(&folder, "slow");
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        attendant.serve(listens, move |mut stream| {
            let _ = wait.lock().unwrap().recv_timeout(SOON);
            stream.write_all(b"slow").unwrap();
        });
        let (quick, listens) = listener(&folder, "quick");
        attendant.serve(listens, |mut stream| stream.write_all(b"quick").unwrap());
        let mut first = UnixStream::connect(&slow).unwrap();
        let second = std::thread::spawn(move || asked(&slow));
        for _ in 0..10 {
            assert_eq!(asked(&quick), "quick");
        }
        go.send(()).unwrap();
        let mut text = String::new();
        first.read_to_string(&mut text).unwrap();
        go.send(()).unwrap();
        assert_eq!((text.as_str(), second.join().unwrap().as_str()), ("slow", "slow"));
    }

    #[test]
    fn an_answer_that_panics_is_not_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let attendant = Attendant::start().unwrap();
        let (path, listens) = listener(&folder, "socket");
        let asked_times = AtomicU32::new(0);
        attendant.serve(listens, move |mut stream| {
            assert!(asked_times.fetch_add(1, Ordering::Relaxed) > 0, "the first");
            stream.write_all(b"answer").unwrap();
        });
        assert_eq!(asked(&path), "");
        assert_eq!(asked(&path), "answer");
    }

    #[test]
    fn a_chore_is_done_until_it_is_left_off() {
        let attendant = Attendant::start().unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let counting = done.clone();
        attendant.take_on(Box::new(move || {
            counting.fetch_add(1, Ordering::Relaxed);
            Duration::from_millis(1)
        }));
        let began = Instant::now();
        while done.load(Ordering::Relaxed) < 5 && began.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(1));
        }
        attendant.leave_off();
        let then = done.load(Ordering::Relaxed);
        assert!(then >= 5);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(done.load(Ordering::Relaxed), then);
    }

    #[test]
    fn a_socket_is_closed_when_its_attendant_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let attendant = Attendant::start().unwrap();
        let (path, listens) = listener(&folder, "socket");
        attendant.serve(listens, |_| {});
        drop(attendant);
        let began = Instant::now();
        while UnixStream::connect(&path).is_ok() {
            assert!(began.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_stands_in_does_the_same_and_is_told_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let attendant = Attendant::start().unwrap();
        let (path, listens) = listener(&folder, "socket");
        attendant.serve(listens, |mut stream| stream.write_all(b"answer").unwrap());
        let done = Arc::new(AtomicU32::new(0));
        let counting = done.clone();
        attendant.take_on(Box::new(move || {
            counting.fetch_add(1, Ordering::Relaxed);
            Duration::from_millis(1)
        }));
        let (never, writer) = io::pipe().unwrap();
        let wait = |pause| attendant.stand_in(&[never.as_fd()], Some(pause)).unwrap();
        assert_eq!(wait(Duration::from_millis(1)), [false]);
        let before = done.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(done.load(Ordering::Relaxed), before, "the thread has ended");
        let asking = std::thread::spawn(move || asked(&path));
        let began = Instant::now();
        while !asking.is_finished() && began.elapsed() < SOON {
            assert_eq!(wait(Duration::from_millis(1)), [false]);
        }
        assert_eq!(asking.join().unwrap(), "answer");
        assert!(done.load(Ordering::Relaxed) > before);
        attendant.leave_off();
        let pause = Duration::from_millis(200);
        wait(Duration::ZERO);
        let began = Instant::now();
        assert_eq!(wait(pause), [false]);
        assert!(began.elapsed() >= pause, "it waits while nobody calls");
        drop(writer);
        assert_eq!(attendant.stand_in(&[never.as_fd()], None).unwrap(), [true]);
    }
}
