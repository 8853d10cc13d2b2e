//! The console, for the one thing that is printed there on purpose: a dummy token (development only).

use std::{io::Write, sync::Mutex};

use crate::domain::gateway::{models::token::DummyText, services::ports::DummyConsole};

/// Writes dummy tokens to an output.
pub struct Console<W>(Mutex<W>);

impl<W: Write> Console<W> {
    /// Writes to this output.
    pub fn new(output: W) -> Self {
        Self(Mutex::new(output))
    }
}

impl<W: Write + Send> DummyConsole for Console<W> {
    fn show(&self, typed: &DummyText) {
        // One write for the whole text, so that no log line can come between. `DummyText` contains no control
        // characters.
        let shown = format!(
            "\n┌─ DUMMY TOKEN (development only) ─ router → controller → service → repository\n│ {}\n└─ this text is a token now: send it as `Authorization: Bearer …`\n\n",
            typed.as_str()
        );
        let mut output = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A closed console (a broken pipe) must not fail the request.
        let _ = output.write_all(shown.as_bytes()).and_then(|()| output.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_appears_on_a_line_of_its_own_and_is_marked() {
        let console = Console::new(Vec::new());
        console.show(&DummyText::parse("안녕 hello").unwrap());
        let shown = String::from_utf8(console.0.into_inner().unwrap()).unwrap();
        assert!(shown.contains("DUMMY TOKEN (development only)"));
        assert!(shown.lines().any(|line| line == "│ 안녕 hello"));
    }
}
