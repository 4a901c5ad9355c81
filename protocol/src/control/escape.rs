//! Terminal escape sequences in text from people: removed as a whole, so that what coloured a name does
//! not stay in it as `[31m`. Control characters that open no sequence are left to whoever shows the text.

/// Longest sequence that is taken for one; of a longer one only the introduction is removed, so that nobody
/// hides a text by never ending a sequence.
const SEQUENCE_CHARS_MAX: usize = 1024;

/// `text` without ECMA-48 control sequences (`CSI … m`), strings (`OSC … BEL`) and shorter escapes.
#[must_use]
pub fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let skipped = match c {
            '\u{1b}' => escape(rest.as_str()),
            '\u{9b}' => control_sequence(rest.as_str()).unwrap_or(0),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => string(rest.as_str()).unwrap_or(0),
            _ => {
                out.push(c);
                continue;
            }
        };
        rest.by_ref().take(skipped).for_each(drop);
    }
    out
}

/// How many characters after ESC belong to it.
fn escape(tail: &str) -> usize {
    let mut chars = tail.chars();
    match chars.next() {
        Some('[') => 1 + control_sequence(chars.as_str()).unwrap_or(0),
        Some('P' | 'X' | ']' | '^' | '_') => 1 + string(chars.as_str()).unwrap_or(0),
        // Intermediate characters and a final one: `ESC ( B`. Or a lone ESC.
        _ => ended(tail, |c| matches!(c, ' '..='/'), |c| matches!(c, '0'..='~')).unwrap_or(0),
    }
}

/// Parameters, intermediate characters, a final one.
fn control_sequence(tail: &str) -> Option<usize> {
    ended(tail, |c| matches!(c, ' '..='?'), |c| matches!(c, '@'..='~'))
}

/// The length of what `is_body` accepts, if what `is_final` accepts ends it.
fn ended(tail: &str, is_body: fn(char) -> bool, is_final: fn(char) -> bool) -> Option<usize> {
    let (at, end) = tail.chars().take(SEQUENCE_CHARS_MAX).enumerate().find(|(_, c)| !is_body(*c))?;
    is_final(end).then_some(at + 1)
}

/// Anything up to BEL or the string terminator, on one line.
fn string(tail: &str) -> Option<usize> {
    let mut before = '\0';
    for (at, c) in tail.chars().take(SEQUENCE_CHARS_MAX).enumerate() {
        match (before, c) {
            (_, '\u{7}' | '\u{9c}') | ('\u{1b}', '\\') => return Some(at + 1),
            (_, '\n' | '\r') => return None,
            _ => before = c,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_go_as_a_whole() {
        for (text, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{9b}1;4mred", "red"),
            ("\u{1b}]0;title\u{7}name", "name"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{9c}!", "link!"),
            ("\u{1b}Pq#0\u{1b}\\x\u{1b}(By\u{1b}7z", "xyz"),
            ("a\u{1b}", "a"),
            ("plain [31m é", "plain [31m é"),
        ] {
            assert_eq!(without_escapes(text), shown);
        }
    }

    #[test]
    fn a_sequence_without_an_end_hides_nothing() {
        assert_eq!(without_escapes("\u{1b}]0;secret"), "0;secret");
        assert_eq!(without_escapes("\u{1b}]a\nb\u{7}"), "a\nb\u{7}");
        assert_eq!(without_escapes("\u{1b}[31é"), "31é");
        let long = format!("\u{1b}]{}\u{7}", "x".repeat(SEQUENCE_CHARS_MAX));
        assert_eq!(without_escapes(&long).len(), SEQUENCE_CHARS_MAX + 1);
    }

    proptest! {
        #[test]
        fn nothing_that_opens_a_sequence_stays(parts in prop::collection::vec(prop::sample::select(
            vec!["\u{1b}", "\u{9b}", "\u{9d}", "[", "]", "31", "m", "\u{7}", "\\", "é", "\n"]), 0..30)) {
            let shown = without_escapes(&parts.concat());
            prop_assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{9d}']), "{shown:?}");
        }

        #[test]
        fn a_sequence_between_two_words_leaves_the_words(
            parameters in "[0-9;?]{0,12}", end in "[@-~]", title in "[ -~é]{0,20}",
        ) {
            let text = format!("a\u{1b}[{parameters}{end}b\u{1b}]{title}\u{7}c\u{9d}{title}\u{1b}\\d");
            prop_assert_eq!(without_escapes(&text), "abcd");
        }
    }
}
