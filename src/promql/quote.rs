//! Texts in quotes, as Go's `%q` writes them: in errors and in printed queries.

/// A text in double quotes.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// Bytes in double quotes; what is no UTF-8 is written as `\xff`.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_escaped(&mut quoted, character, '"');
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

/// The first ten characters of a text in quotes, with dots behind when there are more bytes than that.
pub(crate) fn quote_shortened(text: &str) -> String {
    if text.len() <= 10 {
        return quote(text);
    }
    let head: String = text.chars().take(10).collect();
    format!("{}...", quote(&head))
}

/// A character in single quotes; the end of the text counts as a replacement character.
pub(crate) fn quote_char(character: Option<char>) -> String {
    let mut quoted = String::from("'");
    push_escaped(
        &mut quoted,
        character.unwrap_or(char::REPLACEMENT_CHARACTER),
        '\'',
    );
    quoted.push('\'');
    quoted
}

fn push_escaped(out: &mut String, character: char, quote: char) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        other if other == quote => {
            out.push('\\');
            out.push(other);
        }
        other if is_printable(other) => out.push(other),
        other if (other as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", other as u32)),
        other if (other as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", other as u32)),
        other => out.push_str(&format!("\\U{:08x}", other as u32)),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the plain space, as Go's `unicode.IsPrint`. Rust's escapes know the
/// same tables; at the start of a text they also escape marks that would extend the character before.
fn is_printable(character: char) -> bool {
    let mut buffer = [0; 4];
    let text = character.encode_utf8(&mut buffer);
    character.is_ascii_graphic() || character == ' ' || {
        !character.is_ascii() && format!("a{text}").escape_debug().count() == 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "\"\""),
            (b"a\"b'c\\", r#""a\"b'c\\""#),
            (b"\x07\x08\x0c\n\r\t\x0b\x00\x7f", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            ("ä€\u{301}\u{1f600}".as_bytes(), "\"ä€\u{301}\u{1f600}\""),
            (
                "\u{a0}\u{200b}\u{e000}\u{ad}\u{2028}".as_bytes(),
                r#""\u00a0\u200b\ue000\u00ad\u2028""#,
            ),
            ("\u{10ffff}".as_bytes(), r#""\U0010ffff""#),
            (b"a\xc5z", r#""a\xc5z""#),
        ];
        for (bytes, expected) in cases {
            assert_eq!(quote_bytes(bytes), *expected);
        }
        assert_eq!(quote_char(Some('\'')), r"'\''");
        assert_eq!(quote_char(Some('"')), "'\"'");
        assert_eq!(quote_shortened("0123456789"), "\"0123456789\"");
        assert_eq!(quote_shortened("0123456789a"), "\"0123456789\"...");
    }
}
