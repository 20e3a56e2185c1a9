//! Texts made of what a regular expression captures, as relabeling and `label_replace` do. The expression has to match all
//! of a text.

use super::re2::translate;
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;

/// A compiled expression.
#[derive(Debug, Clone)]
pub(crate) struct Rewriter(Regex);

/// A match of an expression.
#[derive(Debug)]
pub(crate) struct Captured<'t> {
    text: &'t str,
    groups: Captures,
}

impl Rewriter {
    /// Compiles an expression, or says why it is refused.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let pattern = translate(&format!("^(?s:{pattern})$"))?;
        Regex::new(&pattern).map(Self).map_err(|error| error.to_string())
    }

    #[cfg(feature = "server")]
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub(crate) fn captures<'t>(&self, text: &'t str) -> Option<Captured<'t>> {
        let mut groups = self.0.create_captures();
        self.0.captures(text, &mut groups);
        groups.is_match().then_some(Captured { text, groups })
    }
}

impl Captured<'_> {
    /// Puts what groups captured in place of `$1`, `${1}`, `$name`, `${name}`, and `$` in place of `$$`. A name is as long as it
    /// can be; a group that is not there is empty.
    pub(crate) fn expand(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('$') {
            out.push_str(before);
            rest = behind;
            if let Some(behind) = rest.strip_prefix('$') {
                out.push('$');
                rest = behind;
                continue;
            }
            let Some((name, behind)) = group_name(rest) else {
                out.push('$');
                continue;
            };
            out.push_str(self.group(name));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    fn group(&self, name: &str) -> &str {
        let span = match name.parse::<usize>() {
            Ok(number) => self.groups.get_group(number),
            Err(_) => self.groups.get_group_by_name(name),
        };
        span.and_then(|span| self.text.get(span.range())).unwrap_or("")
    }
}

/// The name behind a `$`, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
    let (name, behind) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => text.split_at(
            text.find(|character| !is_of_name(character))
                .unwrap_or(text.len()),
        ),
    };
    (!name.is_empty() && name.chars().all(is_of_name)).then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_expanded() {
        let rewriter = Rewriter::compile("(?P<first>[a-z]+)-(.*)").unwrap();
        let table = [
            ("$1 $2 $3", "ab 12-x "),
            ("${first}s $firsts $$1", "abs  $1"),
            ("$", "$"),
            ("${1", "${1"),
            ("$-$0", "$-ab-12-x"),
        ];
        for (template, text) in table {
            assert_eq!(
                rewriter.captures("ab-12-x").unwrap().expand(template),
                text,
                "{template}"
            );
        }
        assert!(rewriter.captures("ab").is_none());
        assert!(Rewriter::compile("(").is_err());
    }
}
