//! What is written, where: results on stdout, all else on stderr; colour on terminals only.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::OnceLock;

use anstyle::AnsiColor;
use anstyle::Style;
use serde::Serialize;

use crate::arguments::ColorChoice;

/// Something is right or was added.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something is wrong or was removed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something to look at.
pub(crate) const CAUTION: Style = AnsiColor::Yellow.on_default();
/// Headings.
pub(crate) const STRONG: Style = Style::new().bold();
/// What can be passed over.
pub(crate) const FAINT: Style = Style::new().dimmed();

static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Remembers what the command line says about colour.
pub(crate) fn choose_colour(choice: ColorChoice) {
    let _ = CHOICE.set(choice);
}

fn coloured(is_terminal: bool) -> bool {
    match CHOICE.get().copied().unwrap_or_default() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
        }
    }
}

/// Text for stdout in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    paint(style, text, coloured(io::stdout().is_terminal()))
}

/// Text for stderr in a style.
pub(crate) fn styled_for_stderr(style: Style, text: &str) -> String {
    paint(style, text, coloured(io::stderr().is_terminal()))
}

fn paint(style: Style, text: &str, coloured: bool) -> String {
    if coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Writes text to stdout.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a value to stdout as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    print(&line)
}

/// Writes text to stderr. There is nobody to tell if that fails.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Tells what was wrong, where, and what to do next.
pub(crate) fn complain(what: &str, place: Option<&str>, next: Option<&str>) {
    let mut text = format!("{} {what}\n", styled_for_stderr(BAD, "quixote:"));
    for (label, line) in [("where", place), ("next", next)] {
        if let Some(line) = line {
            text += &format!("  {} {line}\n", styled_for_stderr(FAINT, &format!("{label}:")));
        }
    }
    note(&text);
}

/// Octets of foreign origin, fit for a terminal: no control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

pub(crate) use orchestrator::model_file::review::counted;

/// Hexadecimal digits.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
