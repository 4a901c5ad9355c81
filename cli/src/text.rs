//! Strangers' text before a terminal sees it: no escape, control or bidirectional characters, so that a
//! name cannot move the cursor, clear the screen or turn a line around.

use std::io;

use murmesh_protocol::control::without_escapes;

/// One line: escape sequences go as a whole, line breaks and tabs become spaces.
pub(crate) fn one_line(text: &str) -> String {
    let text = without_escapes(text);
    let kept = text.chars().map(|c| if is_break(c) || c == '\t' { ' ' } else { c });
    kept.filter(|c| !is_unsafe(*c)).collect()
}

/// Many lines: line breaks stay, and later lines are indented so that they cannot look like lines of ours.
pub(crate) fn many_lines(text: &str, indent: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let lines = text.split(is_break).map(one_line).collect::<Vec<_>>();
    lines.join(&format!("\n{indent}")).trim_end().to_owned()
}

/// Line feed and everything else that some terminal takes for one.
fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters that are never shown.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || is_break(c)
        || matches!(
            c,
            // Marks, embeddings, overrides and isolates of the bidirectional algorithm.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // No width and no use outside trickery: byte-order mark, annotations, zero-width space.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{200b}'
            // Tags: invisible copies of ASCII.
            | '\u{e0000}'..='\u{e007f}'
        )
}

/// JSON in which the characters above are written as `\u` escapes: the same text to a parser, harmless
/// to a terminal.
pub(crate) struct SafeJson;

impl serde_json::ser::Formatter for SafeJson {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_unsafe(*c)) {
            writer.write_all(text.get(plain_from..at).unwrap_or_default().as_bytes())?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + c.len_utf8();
        }
        writer.write_all(text.get(plain_from..).unwrap_or_default().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    fn to_json(value: &impl Serialize) -> String {
        let mut bytes = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, SafeJson)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_turn_one_around() {
        assert_eq!(one_line("bob\u{1b}[2J\nalice: hi"), "bob alice: hi");
        assert_eq!(one_line("\u{202e}evil\u{202c} \u{9b}31m!"), "evil !");
        assert_eq!(many_lines("a\r\nb\u{2028}alice: c\n\n", "    "), "a\n    b\n    alice: c");
        assert_eq!(one_line("zoë 👩‍👩‍👧 שלום"), "zoë 👩‍👩‍👧 שלום");
    }

    /// Any text, rich in the characters that matter.
    fn hostile() -> impl Strategy<Value = String> {
        let special = prop::sample::select(vec![
            '\u{1b}',
            '\u{9b}',
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{200f}',
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
            '[',
            'm',
        ]);
        prop::collection::vec(prop_oneof![any::<char>(), special], 0..60).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn no_text_reaches_a_terminal_with_unsafe_characters(text in hostile()) {
            prop_assert!(!one_line(&text).chars().any(is_unsafe));
            let many = many_lines(&text, "  ");
            prop_assert!(!many.chars().any(|c| is_unsafe(c) && c != '\n'));
            prop_assert!(many.lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ")));
        }

        #[test]
        fn json_is_harmless_and_means_the_same(text in hostile()) {
            let json = to_json(&text);
            prop_assert!(!json.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
