//! Label sets as Loki's protobuf has them, as text: `{job="varlogs", level="error"}`.

/// The pairs of a label set, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inner.ok_or("labels stand between { and }")?.trim_start();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = rest
            .split_once('=')
            .ok_or("a label has a name, = and a value in quotes")?;
        let (value, behind) = quoted(behind.trim_start())?;
        pairs.push((name.trim().to_owned(), value));
        rest = behind.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err("a comma is missing between labels".to_owned()),
        };
    }
    Ok(pairs)
}

/// A text in double quotes with Go's escapes, or in backticks without any, and what comes behind it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`').ok_or("a value has no end")?;
        return Ok((value.to_owned(), rest));
    }
    let inner = text.strip_prefix('"').ok_or("a value stands in quotes")?;
    let mut is_escaped = false;
    let end = inner.char_indices().find(|(_, character)| {
        let is_end = *character == '"' && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        is_end
    });
    let (end, _) = end.ok_or("a value has no end")?;
    let value = unescaped(&inner[..end])?;
    Ok((value, &inner[end + 1..]))
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        let digits = match characters.next() {
            Some('n') => {
                value.push('\n');
                continue;
            }
            Some('t') => {
                value.push('\t');
                continue;
            }
            Some('r') => {
                value.push('\r');
                continue;
            }
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(same @ ('"' | '\\' | '\'')) => {
                value.push(same);
                continue;
            }
            _ => return Err("a value has an unknown escape".to_owned()),
        };
        let code: String = characters.by_ref().take(digits).collect();
        let code = u32::from_str_radix(&code, 16)
            .ok()
            .filter(|_| code.len() == digits);
        value.push(
            code.and_then(char::from_u32)
                .ok_or("a value has an escape of no character")?,
        );
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn label_sets_are_read_or_refused() {
        let pairs = |text: &str| parse(text).map(|pairs| format!("{pairs:?}"));
        assert_eq!(pairs("{}").as_deref(), Ok("[]"));
        assert_eq!(
            pairs(r#" {job="var,logs", path="a\"}\\\n", raw=`x"y`} "#).as_deref(),
            Ok(r#"[("job", "var,logs"), ("path", "a\"}\\\n"), ("raw", "x\"y")]"#)
        );
        assert_eq!(pairs(r#"{a="\u00e9\x41",}"#).as_deref(), Ok("[(\"a\", \"éA\")]"));
        for text in [
            "",
            "{",
            "{a}",
            "{a=}",
            "{a=\"b}",
            "{a=\"b\" c=\"d\"}",
            r#"{a="\q"}"#,
            r#"{a="\u00"}"#,
            "{a=`b}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_returns(text: String, inner: String) {
            let _ = parse(&text);
            let _ = parse(&format!("{{a=\"{inner}\"}}"));
        }
    }
}
