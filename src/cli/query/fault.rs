//! What is wrong with a query, with its place under the text.

/// Adds the line of the query in which something is wrong, and a caret under it. The place is named by the message, as in
/// `1:5: parse error: ...`, line and column counted from one, the column in bytes.
pub(super) fn shown(message: &str, query: &str) -> String {
    match place(message).and_then(|(line, column)| marked(query, line, column)) {
        Some(marked) => format!("{message}\n{marked}"),
        None => message.to_owned(),
    }
}

fn place(message: &str) -> Option<(usize, usize)> {
    let before = &message[..message.find(": parse error:")?];
    let (line, column) = before.rsplit_once(':')?;
    let digits = line.bytes().rev().take_while(u8::is_ascii_digit).count();
    Some((line[line.len() - digits..].parse().ok()?, column.parse().ok()?))
}

fn marked(query: &str, line: usize, column: usize) -> Option<String> {
    const INDENT: &str = "  ";
    /// Of a longer line, what is around the place.
    const SHOWN_MAX: usize = 70;
    let text = query.lines().nth(line.checked_sub(1)?)?;
    let before = text.get(..column.checked_sub(1)?)?.chars().count();
    let left_out = if text.chars().count() > SHOWN_MAX {
        before.saturating_sub(SHOWN_MAX / 2)
    } else {
        0
    };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text
        .chars()
        .skip(left_out)
        .take(SHOWN_MAX)
        .map(printable)
        .collect();
    let blanks = " ".repeat(before - left_out);
    Some(format!("{INDENT}{text}\n{INDENT}{blanks}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_marked() {
        let message = "invalid parameter \"query\": 2:5: parse error: unexpected x";
        assert_eq!(
            shown(message, "sum(\n\tö x"),
            format!("{message}\n   ö x\n     ^")
        );
        let message = "1:1: parse error: no";
        assert_eq!(shown(message, "x"), format!("{message}\n  x\n  ^"));
    }

    #[test]
    fn a_long_line_is_cut() {
        let query = "a + ".repeat(50) + ")";
        let text = shown("1:201: parse error: no", &query);
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[2].find('^').expect("a caret");
        assert_eq!(&lines[1][caret..], ")");
    }

    #[test]
    fn what_names_no_place_stays_as_it_is() {
        for message in [
            "expanding series: x",
            "unknown position: parse error: no",
            "9:1: parse error: beyond",
            "1:99: parse error: beyond",
            "1:0: parse error: zero",
        ] {
            assert_eq!(shown(message, "up"), message);
        }
    }
}
