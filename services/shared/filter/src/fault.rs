//! What is wrong with a filter, where, and what to write in its place.

use std::ops::Range;
use thiserror::Error;

/// Why a filter can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}{}", .suggestion.as_ref().map(|text| format!("; did you mean {}?", text.trim())).unwrap_or_default())]
pub struct Fault {
    /// What is wrong, in a sentence.
    pub message: String,
    /// Bytes of the filter that are wrong; empty where something is missing.
    pub span: Range<usize>,
    /// What to write in their place.
    pub suggestion: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, suggestion: None }
    }

    pub(crate) fn or_rather(self, suggestion: Option<impl Into<String>>) -> Self {
        Self { suggestion: suggestion.map(Into::into), ..self }
    }

    /// A word in the place of what is wrong, with room around it where there is none.
    pub(crate) fn or_word(self, filter: &str, word: &str) -> Self {
        let touches = |character: Option<char>| character.is_some_and(|one| !one.is_whitespace());
        let before = touches(filter.get(..self.span.start).and_then(|text| text.chars().next_back()));
        let behind = touches(filter.get(self.span.end..).and_then(|text| text.chars().next()));
        let room = |wanted| if wanted { " " } else { "" };
        self.or_rather(Some(format!("{}{word}{}", room(before), room(behind))))
    }

    /// For a terminal: the sentence, the line of the filter that is wrong, and a mark below it.
    pub fn shown(&self, filter: &str) -> String {
        let begin =
            filter.get(..self.span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line = filter.get(begin..).unwrap_or_default().lines().next().unwrap_or_default();
        let before = filter.get(begin..self.span.start).unwrap_or_default().chars().count();
        let wide = filter
            .get(self.span.clone())
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        format!("{self}\n  {line}\n  {}{}", " ".repeat(before), "^".repeat(wide.max(1)))
    }
}
