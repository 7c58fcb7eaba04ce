//! What is printed, and how: JSON for programs, text for people; nothing that a terminal would take for a command.

use std::env;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Where results are printed.
pub(crate) struct Output {
    to: BufWriter<Box<dyn Write>>,
    is_json: bool,
    has_colours: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        let stdout = io::stdout();
        let has_colours = stdout.is_terminal() && colours_are_wanted();
        Self { to: BufWriter::new(Box::new(stdout)), is_json, has_colours }
    }

    /// JSON, printed here.
    #[cfg(test)]
    pub(crate) fn json_to(to: impl Write + 'static) -> Self {
        Self { to: BufWriter::new(Box::new(to)), is_json: true, has_colours: false }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints a line. What comes from the store was made [`safe`].
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{line}")?)
    }

    /// Prints text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.to.write_all(text.as_bytes())?)
    }

    /// Prints a line that stands out, where there are colours.
    pub(crate) fn heading(&mut self, line: &str) -> Result<(), Failure> {
        if self.has_colours { self.line(&format!("\u{1b}[1m{line}\u{1b}[0m")) } else { self.line(line) }
    }

    /// Prints a value in a line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = json(value)?;
        self.line(&text)
    }

    /// Ends a report, and fails so where not all is well: also where nobody reads it.
    pub(crate) fn end(
        &mut self,
        told: Result<(), Failure>,
        is_well: bool,
        failure: Failure,
    ) -> Result<(), Failure> {
        match told.and_then(|()| self.flush()) {
            Ok(()) | Err(Failure::NobodyReads) if !is_well => Err(failure),
            ended => ended,
        }
    }

    /// Hands over what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }
}

/// See <https://no-color.org>.
fn colours_are_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// A value as JSON in one line, in which what a terminal might act upon is escaped.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value)?;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Only between values, of a payload that was written so: within a string it is escaped already.
            '\n' | '\r' | '\t' => escaped.push(' '),
            character if is_acted_upon(character) => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => escaped.push(character),
        }
    }
    Ok(escaped)
}

/// Text in which what a terminal might act upon is spelled out, but for these characters.
pub(crate) fn safe(text: &str, but: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_acted_upon(character) && !but.contains(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Whether it moves the cursor, begins a command of the terminal, or turns the direction of text. All of them have four
/// digits, with zeros before them.
fn is_acted_upon(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

/// As much of a text as a cell of a table has room for.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// An argument as a shell takes it.
pub(crate) fn for_shell(argument: &str) -> String {
    let is_plain = |each: char| each.is_ascii_alphanumeric() || "-_./:@%+,=".contains(each);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_upon_is_printed() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}\u{61c}b\r\n";
        assert_eq!(safe(hostile, ""), r"a\u{1b}[2J\u{9b}31m\u{202e}\u{61c}b\r\n");
        let text = json(&hostile).unwrap();
        assert!(!text.chars().any(is_acted_upon), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }

    /// Takes nothing, as a full disk does, or a pipe that is closed.
    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_not_well_is_told_by_the_exit_code_and_what_cannot_be_written_too() {
        let code = |kind: io::ErrorKind, is_well: bool| {
            let mut out = Output::json_to(Closed(kind));
            let told = out.json(&1);
            out.end(told, is_well, Failure::NotEqual).unwrap_err().code()
        };
        assert_eq!((code(io::ErrorKind::BrokenPipe, true), code(io::ErrorKind::BrokenPipe, false)), (141, 1));
        assert_eq!((code(io::ErrorKind::StorageFull, true), code(io::ErrorKind::StorageFull, false)), (3, 3));
    }

    #[test]
    fn what_goes_on_can_be_copied_into_a_shell() {
        assert_eq!(for_shell("orders/1003"), "orders/1003");
        assert_eq!(for_shell(r#"["it's"]"#), r#"'["it'\''s"]'"#);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!((shortened("äöü", 2).as_str(), shortened("äöü", 3).as_str()), ("äö…", "äöü"));
    }
}
