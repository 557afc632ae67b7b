//! Text → tokens with their places.
//!
//! A word is whatever stands between spaces and signs, so that `xe-0/0/1.100`, `2001:db8::/32` and `AS15169` need no quotes.

use crate::fault::Fault;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// In quotes.
    Text(String),
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `(`, `)` or `,`.
    Sign(&'static str),
}

/// Longest first.
const SIGNS: [&str; 9] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","];
/// What people from other languages write.
const ELSEWHERE: [(&str, &str); 6] =
    [("==", "="), ("<>", "!="), ("&&", "AND"), ("||", "OR"), ("!", "NOT"), ("~", "=")];

fn of_word(character: char) -> bool {
    !character.is_whitespace() && !character.is_control() && !"=!<>(),\"'&|~;\\".contains(character)
}

pub(crate) fn tokens(filter: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = filter[at..].chars().next() {
        let rest = &filter[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| rest.starts_with(theirs));
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        // `!` begins a sign of ours, too.
        if let Some((theirs, ours)) =
            elsewhere.filter(|(theirs, _)| sign.is_none_or(|sign| sign.len() < theirs.len()))
        {
            let span = at..at + theirs.len();
            let fault = Fault::new(span, format!("{theirs} is not of this language"));
            let word = ours.starts_with(char::is_alphabetic);
            return Err(if word { fault.or_word(filter, ours) } else { fault.or_rather(Some(*ours)) });
        }
        let (token, length) = if let Some(sign) = sign {
            (Token::Sign(sign), sign.len())
        } else if matches!(first, '"' | '\'') {
            quoted(rest, first)
                .ok_or_else(|| Fault::new(at..filter.len(), format!("the {first} is never closed")))?
        } else if of_word(first) {
            let length = rest.find(|character| !of_word(character)).unwrap_or(rest.len());
            (Token::Word(rest[..length].to_owned()), length)
        } else {
            let span = at..at + first.len_utf8();
            return Err(Fault::new(
                span,
                format!("{first:?} is of no use here; text with it goes into quotes"),
            ));
        };
        tokens.push((token, at..at + length));
        at += length;
    }
    Ok(tokens)
}

/// Text in quotes and its length with them; a backslash takes the next character as it is.
fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => text.push(characters.next()?.1),
            _ if character == quote => return Some((Token::Text(text), at + 1)),
            _ => text.push(character),
        }
    }
    None
}
