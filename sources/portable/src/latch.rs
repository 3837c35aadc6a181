//! Something that comes once, and can be waited for beside others: a descriptor that becomes readable.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A pipe into which nothing is written: it ends.
#[derive(Debug)]
pub struct Latch {
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl Latch {
    /// One that is not set.
    ///
    /// # Errors
    ///
    /// There is no descriptor.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { reader, writer: Mutex::new(Some(writer)) })
    }

    /// It has come.
    pub fn set(&self) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl AsFd for Latch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn it_can_be_read_from_then_on() {
        let latch = Latch::new().unwrap();
        let mut reader = latch.reader.try_clone().unwrap();
        let reading = std::thread::spawn(move || reader.read(&mut [0]).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!reading.is_finished());
        latch.set();
        latch.set();
        assert_eq!(reading.join().unwrap(), 0);
        assert_eq!((&latch.reader).read(&mut [0]).unwrap(), 0);
    }
}
