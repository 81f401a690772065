//! Text of others, shown instead of obeyed: control characters, and those that reorder or hide what stands beside them.
//!
//! Names, tags, annotations, messages and values come from AWS, from the cluster, from helm, from files and from the command
//! line. A terminal obeys the control characters in them (ECMA-48), a line break forges a line, and characters for the direction
//! of writing make a line read otherwise than it is (<https://www.unicode.org/reports/tr36/>, CVE-2021-42574). They are shown the
//! way JSON writes them, so that a JSON text with them escaped still holds the same value.
//!
//! Pure. `render/` calls [`line`] where such text enters a line; [`guard`] is the last look at everything that is printed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is obeyed, reorders its neighbours or cannot be seen. Spaces are no such thing.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                // No characters at all, and not allowed in XML.
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text on one line.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_, _| false)
}

/// The text of an error or a hint. A list in it keeps its lines, which are indented; every other line break is escaped, so that
/// nothing inside it begins a line.
pub fn paragraph(text: &str) -> Cow<'_, str> {
    escaped(text, |character, rest| character == '\n' && rest.starts_with("  "))
}

/// A text that is laid out already, with the colours of `style.rs` where there are any.
pub fn guard(text: &str, colours: bool) -> Cow<'_, str> {
    escaped(text, |character, rest| match character {
        '\n' | '\t' => true,
        '\u{1b}' => colours && changes_colour(rest),
        _ => false,
    })
}

/// Whether what follows an escape character makes it a change of colour.
fn changes_colour(rest: &str) -> bool {
    let Some(parameters) = rest.strip_prefix('[') else { return false };
    let length = parameters.find(|character: char| !character.is_ascii_digit() && character != ';');
    length.is_some_and(|length| length <= 8 && parameters[length..].starts_with('m'))
}

/// Escapes what is unseen and not kept; `keep` is asked about every character, with what follows it.
fn escaped(text: &str, keep: impl Fn(char, &str) -> bool) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        let kept = keep(character, &text[at + character.len_utf8()..]);
        if kept || !is_unseen(character) {
            shown.push(character);
        } else {
            push(&mut shown, character);
        }
    }
    Cow::Owned(shown)
}

fn push(shown: &mut String, character: char) {
    match character {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (text, shown) in [
            ("plain é 日本", "plain é 日本"),
            ("a\nhint: rm", "a\\nhint: rm"),
            ("a\r\tb", "a\\r\\tb"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u001b[2J\\u001b]0;title\\u0007"),
            ("\u{9b}31m\u{7f}\0", "\\u009b31m\\u007f\\u0000"),
            ("user\u{202e}nimda\u{2066}", "user\\u202enimda\\u2066"),
            ("a\u{2028}b\u{200b}c\u{feff}", "a\\u2028b\\u200bc\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn lists_in_errors_keep_their_lines_and_nothing_begins_one() {
        let text = "2 objects\n  Ingress/a\nhint: rm -rf\n  Ingress/b";
        assert_eq!(paragraph(text), "2 objects\n  Ingress/a\\nhint: rm -rf\n  Ingress/b");
    }

    #[test]
    fn the_last_look_keeps_layout_and_colours_of_ours_only() {
        let text = "\u{1b}[32mok\u{1b}[0m\t\u{1b}[2J\r\n\u{9b}0m\u{1b}[1;31mx\u{1b}[m";
        assert_eq!(guard(text, true), "\u{1b}[32mok\u{1b}[0m\t\\u001b[2J\\r\n\\u009b0m\u{1b}[1;31mx\u{1b}[m");
        assert_eq!(guard("\u{1b}[32mok\u{1b}[0m\n", false), "\\u001b[32mok\\u001b[0m\n");
        assert_eq!(guard("\u{1b}[123456789m", true), "\\u001b[123456789m");
    }

    #[test]
    fn a_json_text_holds_the_same_value_afterwards() {
        let value = serde_json::json!({"a\u{9b}": "b\u{7f}\u{202e}\u{e0041}\n\u{1b}\u{fffe}"});
        let text = format!("{value:#}\n");
        let guarded = guard(&text, false);
        assert!(!guarded.chars().any(|character| is_unseen(character) && character != '\n'), "{guarded}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&guarded).unwrap(), value);
    }
}
