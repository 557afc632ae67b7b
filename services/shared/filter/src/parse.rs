//! Tokens → tree, typed as the fields say.
//!
//! By hand, because what a filter language is judged by is what it says of a filter that is wrong. `OR` binds weakest, then `AND`, then `NOT`.

use crate::expr::{Compare, Expr, Test, Value};
use crate::fault::Fault;
use crate::field::{Field, Kind, nearest};
use crate::lex::{Token, tokens};
use crate::{MAX_BYTES, MAX_DEPTH, MAX_VALUES};
use std::ops::Range;

const SIGNS: &str = "=, !=, <, <=, >, >=, IN or NOT IN";

/// Reads a filter.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(filter: &str, fields: &'static [Field]) -> Result<Expr, Fault> {
    if filter.len() > MAX_BYTES {
        let message = format!("the filter has {} bytes, of at most {MAX_BYTES}", filter.len());
        return Err(Fault::new(0..filter.len(), message));
    }
    let tokens = tokens(filter)?;
    let mut parser = Parser { filter, tokens: &tokens, at: 0, end: filter.trim_end().len(), fields };
    let expr = parser.any(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(Token::Sign(")")) => Err(parser.fault("this ) closes nothing")),
        Some(_) => {
            let guess = parser.word().and_then(|word| nearest(word, ["and", "or"].into_iter()));
            let guess = guess.map(str::to_ascii_uppercase);
            Err(parser.fault("expected AND, OR or the end").or_rather(guess))
        }
    }
}

struct Parser<'t> {
    filter: &'t str,
    tokens: &'t [(Token, Range<usize>)],
    at: usize,
    end: usize,
    fields: &'static [Field],
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn word(&self) -> Option<&'t str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.end..self.end, |(_, span)| span.clone())
    }

    /// At what comes next.
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.span(), message)
    }

    fn keyword(&mut self, wanted: &str) -> bool {
        let found = self.word().is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(sign)) if *sign == wanted);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Expr, Fault> {
        let mut all = vec![self.all(depth)?];
        while self.keyword("or") {
            all.push(self.all(depth)?);
        }
        Ok(one_or(all, Expr::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, Fault> {
        let mut all = vec![self.not(depth)?];
        while self.keyword("and") {
            all.push(self.not(depth)?);
        }
        Ok(one_or(all, Expr::All))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, Fault> {
        if depth >= MAX_DEPTH {
            return Err(self.fault(format!("NOT and parentheses lie deeper than {MAX_DEPTH} in each other")));
        }
        if self.keyword("not") {
            return Ok(Expr::Not(Box::new(self.not(depth + 1)?)));
        }
        let opened = self.span();
        if self.sign("(") {
            let inner = self.any(depth + 1)?;
            if self.sign(")") {
                return Ok(inner);
            }
            return Err(match self.peek() {
                None => Fault::new(opened, "this ( is never closed"),
                Some(_) => self.fault("expected AND, OR or )"),
            });
        }
        self.test().map(Expr::Test)
    }

    fn test(&mut self) -> Result<Test, Fault> {
        let field = self.field()?;
        let place = self.span();
        let compare = self.compare(field)?;
        if !matches!(compare, Compare::Equal | Compare::Unequal | Compare::In | Compare::NotIn)
            && !field.kind.ordered()
        {
            let message = format!("{} has no order: {} does not go with it", field.name, compare.sign());
            return Err(Fault::new(place, message).or_rather(Some("=")));
        }
        if !matches!(compare, Compare::In | Compare::NotIn) {
            let value = self.value(field)?;
            if matches!(value, Value::Network(_)) {
                let rather = if compare == Compare::Equal { "IN" } else { "NOT IN" };
                let message = format!("an address is no network: {} lies IN one", field.name);
                return Err(Fault::new(place, message).or_word(self.filter, rather));
            }
            return Ok(Test { field, compare, values: vec![value] });
        }
        Ok(Test { field, compare, values: self.list(field)? })
    }

    fn field(&mut self) -> Result<&'static Field, Fault> {
        let Some(word) = self.word().filter(|word| !is_keyword(word)) else {
            return Err(self.fault("expected a column, NOT or ("));
        };
        let found = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(word));
        found.inspect(|_| self.at += 1).ok_or_else(|| {
            let guess = nearest(word, self.fields.iter().map(|field| field.name));
            self.fault(format!("there is no column {}", shortened(word))).or_rather(guess)
        })
    }

    fn compare(&mut self, field: &Field) -> Result<Compare, Fault> {
        let signs = [
            ("=", Compare::Equal),
            ("!=", Compare::Unequal),
            ("<", Compare::Less),
            ("<=", Compare::AtMost),
            (">", Compare::Greater),
            (">=", Compare::AtLeast),
        ];
        if let Some((_, compare)) = signs.into_iter().find(|(sign, _)| self.sign(sign)) {
            return Ok(compare);
        }
        if self.keyword("in") {
            return Ok(Compare::In);
        }
        if self.keyword("not") {
            return if self.keyword("in") {
                Ok(Compare::NotIn)
            } else {
                Err(self.fault("expected IN after NOT"))
            };
        }
        Err(self.fault(format!("expected {SIGNS} after {}", field.name)))
    }

    /// Values in parentheses, or one without.
    fn list(&mut self, field: &Field) -> Result<Vec<Value>, Fault> {
        let opened = self.span();
        if !self.sign("(") {
            return Ok(vec![self.value(field)?]);
        }
        let mut values = Vec::new();
        loop {
            if values.len() == MAX_VALUES {
                return Err(self.fault(format!("a list has at most {MAX_VALUES} values")));
            }
            values.push(self.value(field)?);
            if self.sign(")") {
                return Ok(values);
            }
            if !self.sign(",") {
                return Err(match self.peek() {
                    None => Fault::new(opened, "this ( is never closed"),
                    Some(_) => self.fault("expected a comma or )"),
                });
            }
        }
    }

    /// Refuses text of several words without quotes.
    fn spaces(&self, field: &Field) -> Result<(), Fault> {
        let words = self.tokens[self.at..].iter().map_while(|token| match token {
            (Token::Word(word), span) if !is_keyword(word) => Some((word.as_str(), span)),
            _ => None,
        });
        let (words, spans): (Vec<_>, Vec<_>) = words.unzip();
        match (field.kind, &spans[..]) {
            (Kind::Text, [first, .., last]) => {
                let span = first.start..last.end;
                Err(Fault::new(span, "text with spaces goes into quotes")
                    .or_rather(Some(format!("\"{}\"", words.join(" ")))))
            }
            _ => Ok(()),
        }
    }

    fn value(&mut self, field: &Field) -> Result<Value, Fault> {
        let wanted = || format!("expected {}", field.kind.wanted());
        let text = match self.peek() {
            Some(Token::Text(text)) => text,
            // Here a value must come, and a keyword that is one is no keyword: a direction, India. Text would be anything.
            Some(Token::Word(word)) if field.kind != Kind::Text && field.kind.read(word).is_some() => word,
            Some(Token::Word(word)) if !is_keyword(word) => {
                self.spaces(field)?;
                word
            }
            Some(Token::Word(word)) => {
                return Err(self.fault(format!("{}; the word {word} itself goes into quotes", wanted())));
            }
            _ => return Err(self.fault(wanted())),
        };
        let value = field.kind.read(text).ok_or_else(|| {
            let message = format!("{} is nothing that {} has: {}", shortened(text), field.name, wanted());
            self.fault(message).or_rather(field.kind.guess(text))
        })?;
        self.at += 1;
        Ok(value)
    }
}

fn is_keyword(word: &str) -> bool {
    ["and", "or", "not", "in"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn one_or(mut all: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match (all.len(), all.pop()) {
        (1, Some(one)) => one,
        (_, last) => many(all.into_iter().chain(last).collect()),
    }
}

/// So that an error is no longer than a line.
fn shortened(text: &str) -> String {
    const LONG: usize = 40;
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
