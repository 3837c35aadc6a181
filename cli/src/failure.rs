//! What went wrong, where, and what to do next: one sentence each.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use crate::exit;
use crate::output;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    place: Option<String>,
    next: Option<String>,
    status: u8,
}

/// What a command comes to.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure of our own, in one sentence.
    pub(crate) fn new(what: impl Display) -> Self {
        let what = what.to_string();
        Self { what, place: None, next: None, status: exit::OWN_FAILURE }
    }

    /// A library's error, and where it came up. Library errors say after a semicolon what to do,
    /// and often name the file already.
    pub(crate) fn from_library(error: &impl Display, place: impl Display) -> Self {
        let (text, place) = (error.to_string(), place.to_string());
        let (what, next) = match text.split_once("; ") {
            Some((what, next)) => (what.to_owned(), Some(next.to_owned())),
            None => (text, None),
        };
        let named = place.is_empty() || what.contains(&place);
        Self { what, place: (!named).then_some(place), next, status: exit::OWN_FAILURE }
    }

    /// Where: a file, a line, an argument.
    pub(crate) fn at(mut self, place: impl Display) -> Self {
        self.place.get_or_insert_with(|| place.to_string());
        self
    }

    /// What to do next.
    pub(crate) fn next(mut self, next: impl Display) -> Self {
        self.next.get_or_insert_with(|| next.to_string());
        self
    }

    /// With another exit status.
    pub(crate) fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// Tells the user. A reader of our output that went away is not told.
    pub(crate) fn report(self) -> ExitCode {
        if !self.what.is_empty() {
            output::complain(&self.what, self.place.as_deref(), self.next.as_deref());
        }
        self.status.into()
    }
}

impl From<io::Error> for Failure {
    /// Only our own output fails without a path: `quixote model show x | head`.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { what: String::new(), place: None, next: None, status: 0 };
        }
        Self::new(format_args!("cannot write the output: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// Turns a library's error into a failure.
pub(crate) trait OrFail<T> {
    /// Says in the library's words what was wrong, and where.
    fn or_fail(self, place: impl Display) -> Outcome<T>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, place: impl Display) -> Outcome<T> {
        self.map_err(|error| Failure::from_library(&error, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_advice_becomes_the_next_step() {
        let refused: Result<(), _> = Err("no pinned key made this signature; pin the key");
        let failure = refused.or_fail("x.model").unwrap_err();
        assert_eq!(failure.what, "no pinned key made this signature");
        assert_eq!(failure.place.as_deref(), Some("x.model"));
        assert_eq!(failure.next.as_deref(), Some("pin the key"));
    }

    #[test]
    fn a_place_is_not_named_twice() {
        let refused: Result<(), _> = Err("cannot read the model x.model: no such file");
        assert_eq!(refused.or_fail("x.model").unwrap_err().place, None);
    }
}
