//! Random expressions: trees of texts with places for smaller trees, so that a failing one can be made smaller.

use crate::random::Random;

/// What an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vector,
    Windows,
    Scalar,
}

/// A text in which each `#` stands for a part.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    kind: Kind,
    template: String,
    parts: Vec<Tree>,
}

impl Tree {
    fn new(kind: Kind, template: impl Into<String>, parts: Vec<Tree>) -> Self {
        Self {
            kind,
            template: template.into(),
            parts,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut parts = self.parts.iter();
        let mut text = String::new();
        for character in self.template.chars() {
            match character {
                '#' => text.push_str(&parts.next().map(Tree::text).unwrap_or_default()),
                other => text.push(other),
            }
        }
        text
    }

    /// Smaller trees of the same kind: parts in place of the whole, and smaller parts.
    pub(super) fn smaller(&self) -> Vec<Tree> {
        let mut smaller = Vec::new();
        self.push_inner(self.kind, &mut smaller);
        for (position, part) in self.parts.iter().enumerate() {
            for part in part.smaller() {
                let mut tree = self.clone();
                tree.parts[position] = part;
                smaller.push(tree);
            }
        }
        smaller
    }

    fn push_inner(&self, kind: Kind, out: &mut Vec<Tree>) {
        for part in &self.parts {
            if part.kind == kind {
                out.push(part.clone());
            } else {
                part.push_inner(kind, out);
            }
        }
    }
}

const FLOATS: &[&str] = &[
    "requests_total",
    "requests_total{job=\"api\"}",
    "requests_total{path!~\"/l.*\",instance=\"b:1\"}",
    "up",
    "temperature",
    "temperature{room=~\"hall|attic\"}",
    "latency_seconds_count",
    "{\"disk.usage\"}",
    "{\"disk.usage\", \"mount.point\"=\"/\"}",
    "{job=\"web\", __name__=~\"up|requests_total\"}",
];
const HISTOGRAMS: &[&str] = &[
    "rpc_seconds",
    "rpc_seconds{job=\"api\"}",
    "sizes_bytes",
    "queue_depth",
    "mixed",
    "{__name__=~\"rpc_.*\"}",
];

const OF_FLOAT: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "rad",
    "deg",
    "sgn",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
    "timestamp",
    "sort",
    "sort_desc",
];
const OF_HISTOGRAM: &[&str] = &[
    "histogram_count",
    "histogram_sum",
    "histogram_avg",
    "histogram_stddev",
    "histogram_stdvar",
];
const OF_WINDOW: &[&str] = &[
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "resets",
    "changes",
    "deriv",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "mad_over_time",
];
const AGGREGATIONS: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const GROUPINGS: &[&str] = &[
    "",
    " by (job)",
    " by (instance, path)",
    " without (job)",
    " without (instance, le)",
    " by (room)",
    " by ()",
];
const RANGES: &[&str] = &["30s", "1m", "2m30s", "5m", "17m"];
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<=", "== bool", "< bool", "and", "or", "unless",
];
const MATCHINGS: &[&str] = &[
    "",
    " on (job, instance)",
    " ignoring (path)",
    " on ()",
    " on (job) group_left ()",
];
const NUMBERS: &[&str] = &[
    "0", "1", "-1", "0.5", "2", "1e3", "-0.25", "NaN", "Inf", "0.9", "60",
];

fn modifier(random: &mut Random) -> &'static str {
    const MODIFIERS: &[&str] = &[
        " offset 1m",
        " offset -45s",
        " @ 1700000900",
        " @ 1700001200.5 offset 30s",
        " @ start()",
        " @ end()",
    ];
    if random.once_in(5) {
        random.pick(MODIFIERS)
    } else {
        ""
    }
}

fn selector(random: &mut Random) -> Tree {
    let names = if random.once_in(3) { HISTOGRAMS } else { FLOATS };
    let name = random.pick(names);
    Tree::new(Kind::Vector, format!("{name}{}", modifier(random)), Vec::new())
}

fn windows(random: &mut Random, depth: usize) -> Tree {
    let range = random.pick(RANGES);
    if depth > 0 && random.once_in(5) {
        let step = random.pick(&["", "15s", "37s", "1m"]);
        let template = format!("(#)[{range}:{step}]{}", modifier(random));
        return Tree::new(Kind::Windows, template, vec![vector(random, depth - 1)]);
    }
    let names = if random.once_in(3) { HISTOGRAMS } else { FLOATS };
    let name = random.pick(names);
    Tree::new(
        Kind::Windows,
        format!("{name}[{range}]{}", modifier(random)),
        Vec::new(),
    )
}

fn scalar(random: &mut Random, depth: usize) -> Tree {
    match random.below(8) {
        0 if depth > 0 => Tree::new(Kind::Scalar, "scalar(#)", vec![vector(random, depth - 1)]),
        1 => Tree::new(Kind::Scalar, "time()", Vec::new()),
        2 if depth > 0 => {
            let operator = random.pick(&["+", "-", "*", "/", "%", "^"]);
            let parts = vec![scalar(random, depth - 1), scalar(random, depth - 1)];
            Tree::new(Kind::Scalar, format!("(# {operator} #)"), parts)
        }
        _ => Tree::new(Kind::Scalar, random.pick(NUMBERS), Vec::new()),
    }
}

/// A vector of at most this depth.
pub(super) fn vector(random: &mut Random, depth: usize) -> Tree {
    let Some(deeper) = depth.checked_sub(1) else {
        return selector(random);
    };
    let of = |template: String, parts: Vec<Tree>| Tree::new(Kind::Vector, template, parts);
    match random.below(14) {
        0 | 1 => of(
            format!("{}(#)", random.pick(OF_FLOAT)),
            vec![vector(random, deeper)],
        ),
        2 => of(
            format!("{}(#)", random.pick(OF_HISTOGRAM)),
            vec![vector(random, deeper)],
        ),
        3 | 4 => of(
            format!("{}(#)", random.pick(OF_WINDOW)),
            vec![windows(random, deeper)],
        ),
        5 | 6 => {
            let template = format!("{}{} (#)", random.pick(AGGREGATIONS), random.pick(GROUPINGS));
            of(template, vec![vector(random, deeper)])
        }
        7 => of(
            format!(
                "{}{} (#, #)",
                random.pick(&["quantile", "topk", "bottomk"]),
                random.pick(GROUPINGS)
            ),
            vec![scalar(random, deeper), vector(random, deeper)],
        ),
        8 => {
            let template = format!("(# {}{} #)", random.pick(OPERATORS), random.pick(MATCHINGS));
            of(template, vec![vector(random, deeper), vector(random, deeper)])
        }
        9 => {
            let operator = random.pick(&OPERATORS[..13]);
            if random.once_in(2) {
                of(
                    format!("(# {operator} #)"),
                    vec![vector(random, deeper), scalar(random, deeper)],
                )
            } else {
                of(
                    format!("(# {operator} #)"),
                    vec![scalar(random, deeper), vector(random, deeper)],
                )
            }
        }
        10 => with_scalars(random, deeper),
        11 => with_strings(random, deeper),
        12 => of("-(#)".to_owned(), vec![vector(random, deeper)]),
        _ => selector(random),
    }
}

fn with_scalars(random: &mut Random, depth: usize) -> Tree {
    let templates: &[(&str, &[Kind])] = &[
        ("histogram_quantile(#, #)", &[Kind::Scalar, Kind::Vector]),
        (
            "histogram_quantile(#, rate(latency_seconds_bucket[5m]))",
            &[Kind::Scalar],
        ),
        (
            "histogram_quantile(#, sum by (le) (latency_seconds_bucket))",
            &[Kind::Scalar],
        ),
        (
            "histogram_fraction(#, #, #)",
            &[Kind::Scalar, Kind::Scalar, Kind::Vector],
        ),
        ("clamp(#, #, #)", &[Kind::Vector, Kind::Scalar, Kind::Scalar]),
        ("clamp_min(#, #)", &[Kind::Vector, Kind::Scalar]),
        ("clamp_max(#, #)", &[Kind::Vector, Kind::Scalar]),
        ("round(#, #)", &[Kind::Vector, Kind::Scalar]),
        ("quantile_over_time(#, #)", &[Kind::Scalar, Kind::Windows]),
        ("predict_linear(#, #)", &[Kind::Windows, Kind::Scalar]),
        ("vector(#)", &[Kind::Scalar]),
    ];
    let (template, kinds) = random.pick(templates);
    let part = |kind: &Kind| match kind {
        Kind::Scalar => scalar(random, depth),
        Kind::Vector => vector(random, depth),
        Kind::Windows => windows(random, depth),
    };
    Tree::new(Kind::Vector, template, kinds.iter().map(part).collect())
}

fn with_strings(random: &mut Random, depth: usize) -> Tree {
    let template = random.pick(&[
        "label_replace(#, \"host\", \"$1-x\", \"instance\", \"(.*):.*\")",
        "label_replace(#, \"job\", \"\", \"job\", \"api\")",
        "label_join(#, \"both\", \"/\", \"job\", \"instance\")",
        "count_values(\"v\", #)",
        "absent(#)",
    ]);
    Tree::new(Kind::Vector, template, vec![vector(random, depth)])
}
