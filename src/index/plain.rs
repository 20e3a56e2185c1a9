//! Expressions that are nothing but text, `.*` and `.+`, such as `a|b\.c|d.*`: read without a parser, which takes longer
//! for them than the search does. Most expressions are so.

use super::pattern::{Atom, Branch};

/// The alternatives, `None` when there is more to the expression.
pub(super) fn branches(pattern: &str) -> Option<Vec<Branch>> {
    let (mut branches, mut branch, mut text) = (Vec::new(), Branch::new(), String::new());
    let end_text = |text: &mut String, branch: &mut Branch| {
        if !text.is_empty() {
            branch.push(Atom::Text(std::mem::take(text)));
        }
    };
    let mut chars = pattern.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '.' => {
                let gap = match chars.next()? {
                    '*' => 0,
                    '+' => 1,
                    _ => return None,
                };
                if matches!(chars.peek(), Some('*' | '+' | '?' | '{')) {
                    return None;
                }
                end_text(&mut text, &mut branch);
                branch.push(Atom::Gap(gap));
            }
            '|' => {
                end_text(&mut text, &mut branch);
                branches.push(std::mem::take(&mut branch));
            }
            '\\' => text.push(
                chars
                    .next()
                    .filter(|escaped| regex_syntax::is_meta_character(*escaped))?,
            ),
            '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            plain => text.push(plain),
        }
    }
    end_text(&mut text, &mut branch);
    branches.push(branch);
    Some(branches)
}
