//! Rewrites a regular expression from RE2 syntax, which Prometheus speaks, to the syntax of the `regex-syntax` crate.
//!
//! The two agree on most patterns. Where they do not, the text is rewritten or refused, so that no pattern quietly
//! means something else:
//!
//! | pattern | RE2 (Go) | regex-syntax | here |
//! |---|---|---|---|
//! | `\d \w \s \b` | ASCII | Unicode | ASCII |
//! | `[a&&b] [a~~b] [a[b]` | plain characters | set operations, nested class | plain characters |
//! | `{` that starts no repetition, `{,3}` | plain | an error, a repetition | plain |
//! | `\Q...\E`, `\012`, `\p{^Greek}` | supported | not supported | rewritten |
//! | `\< \>` | plain characters | word edges | plain characters |
//! | `\b{start}` | edge, then plain text | word edge | edge, then plain text |
//! | `a**`, `a+*`, `a{2}{3}` | refused | accepted | refused |
//! | `{1001}` and above | refused | accepted | refused |
//! | `(?x) (?u) (?R)`, `\u0041` | refused | accepted | refused |
//! | `\p{name=value}` | refused | accepted | refused |
//!
//! What stays different: more Unicode properties are known here than in Go, and the Unicode versions may differ.
//! RE2 allows 1,000 levels of groups, here it is [`super::pattern::NEST_LIMIT`].

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

/// Largest repetition count RE2 accepts.
const MAX_REPEAT: u32 = 1000;

const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The same pattern in the other syntax, or why it is refused.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
    };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
}

impl<'a> Translator<'a> {
    fn run(&mut self) -> Result<(), String> {
        let mut after_repeat = false;
        while let Some(first) = self.next() {
            let mut repeat = false;
            match first {
                '*' | '+' | '?' => {
                    self.out.push(first);
                    repeat = true;
                }
                '{' => repeat = self.counted_repeat()?,
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                other => self.out.push(other),
            }
            if repeat {
                if after_repeat {
                    return Err("a repetition of a repetition".to_owned());
                }
                if self.skip("?") {
                    self.out.push('?');
                }
            }
            after_repeat = repeat;
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next();
        self.rest = chars.as_str();
        first
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Steps over `text` if it comes next.
    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, character: char) {
        if regex_syntax::is_meta_character(character) {
            self.out.push('\\');
        }
        self.out.push(character);
    }

    /// Behind a `{`: a repetition `n}`, `n,}` or `n,m}`, else the brace is a plain character.
    fn counted_repeat(&mut self) -> Result<bool, String> {
        let counts = self.rest.split_once('}').and_then(|(inside, rest)| {
            let (low, high) = inside.split_once(',').unwrap_or((inside, inside));
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let valid = is_number(low) && (high.is_empty() || is_number(high));
            valid.then_some((inside, low, high, rest))
        });
        let Some((inside, low, high, rest)) = counts else {
            self.out.push_str("\\{");
            return Ok(false);
        };
        for count in [low, high].into_iter().filter(|count| !count.is_empty()) {
            if count.parse::<u32>().map_or(true, |count| count > MAX_REPEAT) {
                return Err(format!("a repetition of more than {MAX_REPEAT}"));
            }
        }
        self.rest = rest;
        self.out.push('{');
        self.out.push_str(inside);
        self.out.push('}');
        Ok(true)
    }

    /// Behind a `(`: lets through plain and named groups and the flags that RE2 has.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if !self.skip("?") {
            return Ok(());
        }
        self.out.push('?');
        if self.rest.starts_with("P<") || self.rest.starts_with('<') {
            return Ok(());
        }
        while let Some(flag) = self.next() {
            match flag {
                'i' | 'm' | 's' | 'U' | '-' => self.out.push(flag),
                ':' | ')' => {
                    self.out.push(flag);
                    return Ok(());
                }
                other => return Err(format!("unknown group (?{other}")),
            }
        }
        Err("a group is not closed".to_owned())
    }

    /// Behind a `\` outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(edge @ ('b' | 'B')) => {
                self.next();
                self.out.push_str("(?-u:\\");
                self.out.push(edge);
                self.out.push(')');
            }
            Some(end @ ('A' | 'z')) => {
                self.next();
                self.out.push('\\');
                self.out.push(end);
            }
            Some('Q') => {
                self.next();
                self.quoted();
            }
            _ => {
                if let Some(class) = self.class_escape()? {
                    self.out.push_str(&class);
                } else {
                    let character = self.escaped_char()?;
                    self.literal(character);
                }
            }
        }
        Ok(())
    }

    /// Behind `\Q`: plain text up to `\E` or the end.
    fn quoted(&mut self) {
        let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        text.chars().for_each(|character| self.literal(character));
    }

    /// Behind a `\`: an escape that stands for a class of characters, written as a class.
    fn class_escape(&mut self) -> Result<Option<String>, String> {
        let class = match self.peek() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => "[\\t\\n\\x0C\\r ]",
            Some('S') => "[^\\t\\n\\x0C\\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(letter @ ('p' | 'P')) => {
                self.next();
                return self.property(letter == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(class.to_owned()))
    }

    /// Behind `\p` or `\P`: a Unicode property.
    fn property(&mut self, mut negated: bool) -> Result<String, String> {
        let name: String = if self.skip("{") {
            let (name, rest) = self.rest.split_once('}').ok_or("a property without its }")?;
            self.rest = rest;
            name.to_owned()
        } else {
            self.next().ok_or("a property without its name")?.to_string()
        };
        let positive = name.strip_prefix('^');
        negated ^= positive.is_some();
        let name = positive.unwrap_or(&name);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("unknown property {name:?}"));
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// Behind a `\`: an escape that stands for one character.
    fn escaped_char(&mut self) -> Result<char, String> {
        let Some(first) = self.next() else {
            return Err("a backslash at the end".to_owned());
        };
        Ok(match first {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hexadecimal()?,
            '0'..='7' => self.octal(first)?,
            plain if plain.is_ascii() && !plain.is_ascii_alphanumeric() => plain,
            other => return Err(format!("unknown escape \\{other}")),
        })
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let digits = if self.skip("{") {
            let (digits, rest) = self.rest.split_once('}').ok_or("\\x{ without its }")?;
            self.rest = rest;
            digits
        } else {
            let (digits, rest) = self.rest.split_at_checked(2).ok_or("\\x without two digits")?;
            self.rest = rest;
            digits
        };
        let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if valid {
            u32::from_str_radix(digits, 16).ok()
        } else {
            None
        };
        number
            .and_then(char::from_u32)
            .ok_or_else(|| format!("\\x{digits} is no character"))
    }

    /// One to three octal digits; a single digit that is not 0 would be a back reference.
    fn octal(&mut self, first: char) -> Result<char, String> {
        let mut number = first.to_digit(8).unwrap_or(0);
        let mut digits = 1;
        while digits < 3
            && let Some(digit) = self.peek().and_then(|c| c.to_digit(8))
        {
            self.next();
            number = number * 8 + digit;
            digits += 1;
        }
        if digits == 1 && first != '0' {
            return Err("back references are not supported".to_owned());
        }
        char::from_u32(number).ok_or_else(|| "an octal escape is no character".to_owned())
    }

    /// Behind a `[`: a class, up to its `]`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || self.peek() != Some(']') {
            first = false;
            if self.rest.is_empty() {
                return Err("a class is not closed".to_owned());
            }
            self.class_item()?;
        }
        self.next();
        self.out.push(']');
        Ok(())
    }

    /// One named class, class escape, character or range of a class.
    fn class_item(&mut self) -> Result<(), String> {
        if let Some((name, rest)) = self
            .rest
            .strip_prefix("[:")
            .and_then(|rest| rest.split_once(":]"))
        {
            if !CLASS_NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err(format!("unknown class [:{name}:]"));
            }
            self.rest = rest;
            self.out.push_str(&format!("[:{name}:]"));
            return Ok(());
        }
        if let Some(rest) = self.rest.strip_prefix('\\') {
            let before = std::mem::replace(&mut self.rest, rest);
            if let Some(class) = self.class_escape()? {
                self.out.push_str(&class);
                return Ok(());
            }
            self.rest = before;
        }
        let low = self.class_char()?;
        self.literal(low);
        let mut ahead = self.rest.chars();
        if ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']') {
            self.next();
            let high = self.class_char()?;
            if high < low {
                return Err(format!("the range {low}-{high} is empty"));
            }
            self.out.push('-');
            self.literal(high);
        }
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, String> {
        match self.next() {
            Some('\\') => self.escaped_char(),
            Some(plain) => Ok(plain),
            None => Err("a class is not closed".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expected: &str) {
        assert_eq!(translate(pattern).as_deref(), Ok(expected), "{pattern}");
        assert!(
            regex_syntax::ParserBuilder::new()
                .utf8(false)
                .build()
                .parse(expected)
                .is_ok(),
            "{expected}"
        );
    }

    #[test]
    fn what_means_the_same_stays() {
        for pattern in [
            "a.*b+?|c{2,3}",
            "(?i)abc",
            "(?P<n>x)",
            "(?:a|b)",
            "^a$",
            "[a-z]",
            "é*",
            "a]}",
            "(?s-i:.)",
        ] {
            check(pattern, pattern);
        }
    }

    #[test]
    fn what_differs_is_rewritten() {
        check(r"\d+", "[0-9]+");
        check(r"[\d\W]", "[[0-9][^0-9A-Za-z_]]");
        check(r"[a&&b]", r"[a\&\&b]");
        check(r"[[a]b]", r"[\[a]b]");
        check(r"[]a-]", r"[\]a\-]");
        check(r"[+--]", r"[\+-\-]");
        check("{a}{,3}", r"\{a}\{,3}");
        check(r"\Qa.b\E.", r"a\.b.");
        check(r"\<\/\_", "</_");
        check(r"\bx", r"(?-u:\b)x");
        check(r"\b{start}", r"(?-u:\b)\{start}");
        check(r"\012\x41\x{42}", "\nAB");
        check(r"\p{^Greek}\PL", r"\P{Greek}\P{L}");
        check("[[:alpha:][:^digit:]]", "[[:alpha:][:^digit:]]");
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "a**",
            "a*?*",
            "a{2}{3}",
            "a{1001}",
            "(?x)a",
            "(?u:a)",
            r"\u0041",
            r"\1",
            r"\",
            r"\q",
            "[a",
            "[b-a]",
            "[[:nope:]]",
            r"\p{sc=Greek}",
            r"\xg1",
            r"\x{110000}",
            "(?",
            r"\p",
            r"[\b]",
            r"\é",
        ] {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}
