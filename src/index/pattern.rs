//! What a regular expression comes down to: a set of values, globs, or, last, an engine.
//!
//! The parsed expression is expanded into alternatives of atoms (text, one of a few characters, a gap). When that works
//! and stays small, values are compared with text searches only. Alternatives without a gap become a sorted set,
//! the others globs. Everything else runs on the engine, which is told the literal prefix and a text that every match
//! contains, so that a scan over many values rarely starts it.

use super::glob::{CharSet, Glob, Part, Piece};
use super::{plain, re2};
use memchr::memmem::Finder;
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// How deep groups may nest.
pub(super) const NEST_LIMIT: u32 = 250;
/// Memory a compiled expression may take.
const ENGINE_BYTES_MAX: usize = 10 << 20;
/// Alternatives that multiplying out a concatenation may give, and their atoms.
const PRODUCT_BRANCHES_MAX: usize = 1_000;
const PRODUCT_ATOMS_MAX: usize = 16_000;
/// A class with more characters than this is not multiplied out or compared character by character.
const CHARS_MAX: usize = 16;
/// More globs than this are slower than the engine.
const GLOBS_MAX: usize = 32;

/// The values that a condition is about, before it is negated.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Every value, the empty one too.
    All,
    /// Every value but the empty one.
    NotEmpty,
    /// This value.
    One(Box<str>),
    /// These values; sorted and distinct.
    Set(Box<[Box<str>]>),
    /// Values of the sorted set and values that match a glob.
    Globs {
        exact: Box<[Box<str>]>,
        globs: Box<[Glob]>,
    },
    /// What the engine matches.
    Engine(Box<Engine>),
}

/// A compiled expression with what is known of its matches.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) regex: Regex,
    /// Every matching value begins so.
    pub(super) prefix: Box<str>,
    /// Every matching value contains this.
    pub(super) required: Option<Finder<'static>>,
}

impl Engine {
    #[inline]
    pub(super) fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

impl Pattern {
    /// Exactly `value`.
    pub(super) fn literal(value: &str) -> Self {
        Self {
            kind: Kind::One(value.into()),
        }
    }

    /// The expression in RE2 syntax, anchored at both ends, or why it is refused.
    pub(super) fn regex(pattern: &str) -> Result<Self, String> {
        if let Some(kind) = plain::branches(pattern).and_then(classify) {
            return Ok(Self { kind });
        }
        let hir = parse(pattern)?;
        let kind = match expand(&hir, true, true).and_then(classify) {
            Some(kind) => kind,
            None => Kind::Engine(Box::new(engine(hir)?)),
        };
        Ok(Self { kind })
    }

    /// Whether [`Pattern::regex`] takes the pattern, and why not. Cheaper than making it.
    pub(super) fn check(pattern: &str) -> Result<(), String> {
        if plain::branches(pattern).and_then(classify).is_some() {
            return Ok(());
        }
        let hir = parse(pattern)?;
        if expand(&hir, true, true).and_then(classify).is_some() {
            return Ok(());
        }
        let config = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(ENGINE_BYTES_MAX));
        let made = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(&anchor(hir));
        made.map(drop).map_err(|error| match error.size_limit() {
            Some(limit) => too_large(limit),
            None => error.to_string(),
        })
    }

    /// Whether `value` is one of the values.
    #[inline]
    pub(crate) fn matches(&self, value: &str) -> bool {
        match &self.kind {
            Kind::All => true,
            Kind::NotEmpty => !value.is_empty(),
            Kind::One(only) => **only == *value,
            Kind::Set(set) => contains(set, value),
            Kind::Globs { exact, globs } => {
                globs.iter().any(|glob| glob.matches(value)) || contains(exact, value)
            }
            Kind::Engine(engine) => engine.matches(value),
        }
    }

    /// The values one by one, when the pattern is a set.
    pub(crate) fn as_set(&self) -> Option<&[Box<str>]> {
        match &self.kind {
            Kind::One(only) => Some(std::slice::from_ref(only)),
            Kind::Set(set) => Some(set),
            _ => None,
        }
    }

    /// Texts of which every matching value begins with one; sorted, none begins with another.
    pub(super) fn prefixes(&self) -> Option<Vec<&str>> {
        let mut all: Vec<&str> = match &self.kind {
            Kind::All | Kind::NotEmpty => return None,
            Kind::One(only) => vec![only],
            Kind::Set(set) => set.iter().map(|value| &**value).collect(),
            Kind::Globs { exact, globs } => {
                let exact = exact
                    .iter()
                    .map(|value| &**value)
                    .filter(|value| !value.is_empty());
                exact
                    .chain(globs.iter().map(|glob| glob.head.text().unwrap_or("")))
                    .collect()
            }
            Kind::Engine(engine) => vec![&engine.prefix],
        };
        all.sort_unstable();
        if all.first().is_none_or(|first| first.is_empty()) {
            return None;
        }
        all.dedup_by(|later, kept| later.starts_with(*kept));
        Some(all)
    }

    /// Whether every value but perhaps the empty one matches.
    pub(crate) fn is_every_value(&self) -> bool {
        matches!(self.kind, Kind::All | Kind::NotEmpty)
    }
}

fn contains(set: &[Box<str>], value: &str) -> bool {
    set.binary_search_by(|item| (**item).cmp(value)).is_ok()
}

fn parse(pattern: &str) -> Result<Hir, String> {
    let translated = re2::translate(pattern)?;
    let parsed = regex_syntax::ParserBuilder::new()
        .nest_limit(NEST_LIMIT)
        .dot_matches_new_line(true)
        // Values are UTF-8 and matched as a whole; this only lets `(?-u:\B)` through.
        .utf8(false)
        .build()
        .parse(&translated);
    parsed.map_err(|error| match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    })
}

fn engine(hir: Hir) -> Result<Engine, String> {
    let (prefix, required) = literals(&hir);
    let hir = anchor(hir);
    let config = Regex::config()
        .nfa_size_limit(Some(ENGINE_BYTES_MAX))
        .onepass_size_limit(Some(1 << 20))
        .utf8_empty(false);
    let regex = Regex::builder().configure(config).build_from_hir(&hir);
    let regex = regex.map_err(|error| match error.size_limit() {
        Some(limit) => too_large(limit),
        None => error.to_string(),
    })?;
    Ok(Engine {
        regex,
        prefix,
        required,
    })
}

fn too_large(limit: usize) -> String {
    format!("compiled it would take more than {limit} bytes")
}

/// Anchors the expression at both ends, but where it begins or ends with `.*`, which is dropped instead: searching
/// from anywhere is faster than matching everything before.
fn anchor(hir: Hir) -> Hir {
    let mut items = match hir.kind() {
        HirKind::Concat(items) => items.clone(),
        _ => vec![hir],
    };
    if items.first().is_some_and(is_any_text) {
        items.remove(0);
    } else {
        items.insert(0, Hir::look(Look::Start));
    }
    if items.last().is_some_and(is_any_text) {
        items.pop();
    } else {
        items.push(Hir::look(Look::End));
    }
    Hir::concat(items)
}

fn is_any_text(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            repetition.min == 0 && repetition.max.is_none() && is_any_char(&repetition.sub)
        }
        HirKind::Capture(capture) => is_any_text(&capture.sub),
        _ => false,
    }
}

/// The text every match begins with, and the longest other text every match contains.
fn literals(hir: &Hir) -> (Box<str>, Option<Finder<'static>>) {
    let mut prefix = String::new();
    let mut longest = "";
    let items = match hir.kind() {
        HirKind::Concat(items) => items.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(text) = literal_of(item) {
            if index == 0 {
                prefix.push_str(text);
            } else if text.len() > longest.len() {
                longest = text;
            }
        }
    }
    let required = (!longest.is_empty()).then(|| Finder::new(longest).into_owned());
    (prefix.into(), required)
}

fn literal_of(hir: &Hir) -> Option<&str> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok(),
        HirKind::Capture(capture) => literal_of(&capture.sub),
        _ => None,
    }
}

/// A step of an alternative.
#[derive(Debug, Clone)]
pub(super) enum Atom {
    Text(String),
    Chars(CharSet),
    /// At least so many characters of any kind.
    Gap(u32),
}

pub(super) type Branch = Vec<Atom>;

/// All alternatives of `hir`, or `None` when they cannot be written as atoms or are too many.
/// `at_start` and `at_end` say that nothing stands before or behind it.
fn expand(hir: &Hir, at_start: bool, at_end: bool) -> Option<Vec<Branch>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![vec![]]),
        HirKind::Look(Look::Start) if at_start => Some(vec![vec![]]),
        HirKind::Look(Look::End) if at_end => Some(vec![vec![]]),
        HirKind::Look(_) => None,
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(vec![vec![Atom::Text(text.to_owned())]])
        }
        HirKind::Class(class) => Some(vec![vec![Atom::Chars(few_chars(class)?)]]),
        HirKind::Capture(capture) => expand(&capture.sub, at_start, at_end),
        HirKind::Alternation(items) => {
            let mut all = Vec::new();
            for item in items {
                all.append(&mut expand(item, at_start, at_end)?);
            }
            Some(all)
        }
        HirKind::Concat(items) => expand_concat(items, at_start, at_end),
        HirKind::Repetition(repetition) => expand_repetition(repetition),
    }
}

fn expand_concat(items: &[Hir], mut at_start: bool, at_end: bool) -> Option<Vec<Branch>> {
    let is_zero_width = |item: &Hir| item.properties().maximum_len() == Some(0);
    let end_from = items.iter().rposition(|item| !is_zero_width(item)).unwrap_or(0);
    let mut all = vec![vec![]];
    for (index, item) in items.iter().enumerate() {
        all = product(&all, &expand(item, at_start, at_end && index >= end_from)?)?;
        at_start &= is_zero_width(item);
    }
    Some(all)
}

fn expand_repetition(repetition: &Repetition) -> Option<Vec<Branch>> {
    let sub = &repetition.sub;
    match (repetition.min, repetition.max) {
        (min, None) if is_any_char(sub) => Some(vec![vec![Atom::Gap(min)]]),
        (0, Some(1)) => {
            let mut all = expand(sub, false, false)?;
            all.push(vec![]);
            Some(all)
        }
        (min, Some(max)) if min == max && min <= 64 => {
            let once = expand(sub, false, false)?;
            let mut all = vec![vec![]];
            for _ in 0..min {
                all = product(&all, &once)?;
            }
            Some(all)
        }
        _ => None,
    }
}

/// Every left alternative followed by every right one.
fn product(left: &[Branch], right: &[Branch]) -> Option<Vec<Branch>> {
    let atoms = |side: &[Branch]| side.iter().map(Vec::len).sum::<usize>();
    let branches = left.len().saturating_mul(right.len());
    let total = atoms(left) * right.len() + atoms(right) * left.len();
    let multiplies = left.len() > 1 && right.len() > 1;
    if (multiplies && branches > PRODUCT_BRANCHES_MAX) || total > PRODUCT_ATOMS_MAX.max(4 * branches) {
        return None;
    }
    let pairs = left
        .iter()
        .flat_map(|first| right.iter().map(move |second| (first, second)));
    Some(
        pairs
            .map(|(first, second)| [first.as_slice(), second].concat())
            .collect(),
    )
}

fn is_any_char(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            matches!(class.ranges(), [range] if range.start() == '\0' && range.end() == char::MAX)
        }
        HirKind::Capture(capture) => is_any_char(&capture.sub),
        _ => false,
    }
}

/// The characters of a small class. A class without characters matches nothing and is left to the engine.
fn few_chars(class: &Class) -> Option<CharSet> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let mut chars = Vec::new();
    for range in class.ranges() {
        for character in range.start()..=range.end() {
            if chars.len() == CHARS_MAX {
                return None;
            }
            chars.push(character);
        }
    }
    (!chars.is_empty()).then(|| chars.into())
}

/// Sorts the alternatives into values and globs, `None` when the engine would do better.
fn classify(branches: Vec<Branch>) -> Option<Kind> {
    let mut exact: Vec<Box<str>> = Vec::new();
    let mut globs = Vec::new();
    let is_text = |branch: &Branch| matches!(branch.as_slice(), [Atom::Text(_)]);
    let (texts, branches): (Vec<_>, Vec<_>) = branches.into_iter().partition(is_text);
    for atom in texts.into_iter().flatten() {
        if let Atom::Text(text) = atom {
            exact.push(text.into());
        }
    }
    for branch in branches.into_iter().flat_map(spell_out) {
        let glob = build_glob(&branch);
        let middle = glob.parts.split_last().map_or(&[][..], |(_, middle)| middle);
        if middle.iter().any(|part| part.piece.text().is_none()) {
            // The engine searches for classes of characters better than a loop over them does.
            return None;
        }
        match (&*glob.parts, glob.head) {
            ([], Piece::Text(text)) => exact.push(text),
            (_, head) => globs.push(Glob { head, ..glob }),
        }
    }
    exact.sort_unstable();
    exact.dedup();
    let gap_only = |glob: &Glob| glob.prefix_only().filter(|_| glob.head.is_empty());
    match globs.iter().filter_map(gap_only).min() {
        Some(0) => return Some(Kind::All),
        Some(1) if exact.first().is_some_and(|first| first.is_empty()) => return Some(Kind::All),
        Some(1) if !globs.iter().any(|glob| glob.matches("")) => return Some(Kind::NotEmpty),
        _ => {}
    }
    if globs.len() > GLOBS_MAX {
        return None;
    }
    let exact = exact.into_boxed_slice();
    Some(if globs.is_empty() {
        Kind::Set(exact)
    } else {
        Kind::Globs {
            exact,
            globs: globs.into(),
        }
    })
}

/// Multiplies out the classes of a branch when that gives few branches, so that more of it is plain text.
fn spell_out(branch: Branch) -> Vec<Branch> {
    let choices = |atom: &Atom| {
        if let Atom::Chars(chars) = atom {
            chars.len()
        } else {
            1
        }
    };
    let count = branch
        .iter()
        .try_fold(1usize, |count, atom| count.checked_mul(choices(atom)));
    if count.is_none_or(|count| count > CHARS_MAX) {
        return vec![branch];
    }
    let mut all = vec![vec![]];
    for atom in branch {
        let Atom::Chars(chars) = &atom else {
            all.iter_mut()
                .for_each(|branch: &mut Branch| branch.push(atom.clone()));
            continue;
        };
        let spelled = |branch: &Branch| {
            let branch = branch.clone();
            chars
                .iter()
                .map(move |c| [branch.as_slice(), &[Atom::Text(c.to_string())]].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(spelled).collect();
    }
    all
}

fn build_glob(branch: &[Atom]) -> Glob {
    let mut head = Vec::new();
    let mut parts: Vec<(u32, Vec<&Atom>)> = Vec::new();
    for atom in branch {
        match (atom, parts.last_mut()) {
            // Two gaps in a row are one.
            (Atom::Gap(more), Some((gap, atoms))) if atoms.is_empty() => *gap = gap.saturating_add(*more),
            (Atom::Gap(gap), _) => parts.push((*gap, Vec::new())),
            (_, Some((_, atoms))) => atoms.push(atom),
            (_, None) => head.push(atom),
        }
    }
    let parts = parts
        .into_iter()
        .map(|(gap, atoms)| Part::new(gap, build_piece(&atoms)));
    Glob {
        head: build_piece(&head),
        parts: parts.collect(),
    }
}

fn build_piece(atoms: &[&Atom]) -> Piece {
    if atoms.iter().all(|atom| matches!(atom, Atom::Text(_))) {
        let texts = atoms
            .iter()
            .map(|atom| if let Atom::Text(text) = atom { text } else { "" });
        return Piece::Text(texts.collect::<String>().into());
    }
    let mut sets: Vec<CharSet> = Vec::new();
    for atom in atoms {
        match atom {
            Atom::Text(text) => sets.extend(text.chars().map(|character| CharSet::from([character]))),
            Atom::Chars(chars) => sets.push(chars.clone()),
            Atom::Gap(_) => {}
        }
    }
    Piece::Chars(sets.into())
}
