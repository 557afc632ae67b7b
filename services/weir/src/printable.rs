//! Text that others made up, such as names of routers, as a terminal may get it: letters that are shown, and none that steer it.

/// What is written in the place of what is not.
const NOT_SHOWN: char = '\u{fffd}';

/// A text of which each character stays in its place and in its line.
pub fn printable(text: &str) -> String {
    text.chars().map(|one| if steers(one) { NOT_SHOWN } else { one }).collect()
}

/// Control characters, ends of lines, and those that turn the direction in which text is read (Unicode, UAX #9).
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_not_shown_and_all_else_is() {
        for (text, shown) in [
            ("edge1 Ω 日本語 🙂 é", "edge1 Ω 日本語 🙂 é"),
            ("\u{1b}]0;title\u{7}\u{1b}[2J", "\u{fffd}]0;title\u{fffd}\u{fffd}[2J"),
            ("a\nb\r\tc\u{9b}1m\u{7f}", "a\u{fffd}b\u{fffd}\u{fffd}c\u{fffd}1m\u{fffd}"),
            ("\u{202e}gnirts\u{2066}x\u{2069}\u{200f}", "\u{fffd}gnirts\u{fffd}x\u{fffd}\u{fffd}"),
            ("a\u{2028}b", "a\u{fffd}b"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
