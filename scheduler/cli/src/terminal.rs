//! Text that somebody else wrote, made fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with everything replaced that could move the cursor, colour, hide or turn other text:
/// control characters (ESC among them), and the marks that change the direction of writing.
/// Printable characters of every script stay as they are.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.bytes().all(plain) || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            unsafe_one if is_unsafe(unsafe_one) => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(unsafe_one));
            }
            safe => shown.push(safe),
        }
    }
    Cow::Owned(shown)
}

/// An error of the system in its words, without its number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn is_unsafe(letter: char) -> bool {
    let hides = matches!(letter,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}');
    letter.is_control() || hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_the_cursor_or_turn_text_is_shown_by_its_number() {
        assert_eq!(escaped("train-größe 日本"), "train-größe 日本");
        assert_eq!(escaped("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escaped("one\ntwo\r\tthree"), "one\\ntwo\\r\\tthree");
        assert_eq!(escaped("abc\u{202e}fed"), "abc\\u{202e}fed");
        assert_eq!(escaped("nul\0 c1\u{9b}"), "nul\\u{0} c1\\u{9b}");
    }
}
