//! Asking the user, on the terminal.

use std::io;
use std::io::BufRead;

use crate::failure::Failure;
use crate::failure::Outcome;
use crate::output;

/// Asks until the answer is yes or no. The end of input is no.
pub(crate) fn yes_or_no(question: &str) -> Outcome<bool> {
    loop {
        output::note(&format!("{question} [y/n] "));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let read =
            read.map_err(|error| Failure::new(format_args!("cannot read the answer: {error}")))?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ if read == 0 => return Ok(false),
            _ => {}
        }
    }
}
