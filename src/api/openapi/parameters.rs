//! The parameters that routes take.

use super::{Kind, Parameter};

const fn parameter(name: &'static str, kind: Kind, help: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        is_needed: false,
        help,
    }
}

const fn needed(name: &'static str, kind: Kind, help: &'static str) -> Parameter {
    Parameter {
        is_needed: true,
        ..parameter(name, kind, help)
    }
}

const QUERY: Parameter = needed("query", Kind::Text, "A PromQL expression.");
const TIMEOUT: Parameter = parameter(
    "timeout",
    Kind::Duration,
    "The longest time; query.timeout at most.",
);
const LIMIT: Parameter = parameter(
    "limit",
    Kind::Number,
    "The most entries of the answer; 0 is no limit.",
);
const LOOKBACK: Parameter = parameter("lookback_delta", Kind::Duration, "How far back a sample may lie.");
const RESOLUTION: Parameter = parameter(
    "resolution",
    Kind::Text,
    "raw: no rollups; auto, or a width as 5m: rollups as coarse as that are good enough.",
);
const STATS: Parameter = parameter(
    "stats",
    Kind::Text,
    "Not empty: the answer has figures about the query.",
);
const START: Parameter = parameter("start", Kind::Time, "The first moment.");
const END: Parameter = parameter("end", Kind::Time, "The last moment.");
const MATCH: Parameter = parameter("match[]", Kind::Texts, "A selector of series.");
const MATCH_NEEDED: Parameter = needed(
    "match[]",
    Kind::Texts,
    "A selector of series; all that one of them selects.",
);

pub(super) const NONE: &[Parameter] = &[];

pub(super) const INSTANT: &[Parameter] = &[
    QUERY,
    parameter("time", Kind::Time, "The moment; now without it."),
    TIMEOUT,
    LIMIT,
    LOOKBACK,
    RESOLUTION,
    STATS,
];

pub(super) const RANGE: &[Parameter] = &[
    QUERY,
    needed("start", Kind::Time, "The first moment."),
    needed("end", Kind::Time, "The last moment."),
    needed("step", Kind::Duration, "From one moment to the next."),
    TIMEOUT,
    LIMIT,
    LOOKBACK,
    RESOLUTION,
    STATS,
];

pub(super) const QUERY_ONLY: &[Parameter] = &[QUERY];
pub(super) const EXEMPLARS: &[Parameter] = &[QUERY, START, END];
pub(super) const SERIES: &[Parameter] = &[
    MATCH,
    START,
    END,
    LIMIT,
    parameter("prefix", Kind::Text, "How names begin; without match[] only."),
    CURSOR,
];

const CURSOR: Parameter = parameter("cursor", Kind::Text, "next_cursor of the page before.");
const UNIT: Parameter = parameter("precision", Kind::Text, "The unit of times: s, ms, us or ns.");
const START_TIME: Parameter = parameter("start_time", Kind::Text, "The first time.");
const END_TIME: Parameter = parameter("end_time", Kind::Text, "The last time.");

const ORDER: Parameter = parameter("order", Kind::Text, "desc, or asc for the oldest first.");
const COUNTS: Parameter = parameter(
    "interval",
    Kind::Duration,
    "How many there are in each interval, instead of what they are.",
);
const DEVICE: Parameter = parameter("device", Kind::Text, "The device.");
const TEXT: Parameter = parameter("text", Kind::Text, "What it must contain.");

pub(super) const LOGS: &[Parameter] = &[
    UNIT,
    START_TIME,
    END_TIME,
    DEVICE,
    parameter("level", Kind::Text, "The level at least."),
    parameter("source", Kind::Text, "The source."),
    TEXT,
    LIMIT,
    ORDER,
    CURSOR,
    COUNTS,
];
pub(super) const EVENTS: &[Parameter] = &[
    UNIT,
    START_TIME,
    END_TIME,
    DEVICE,
    parameter("type", Kind::Text, "The type."),
    parameter("severity", Kind::Text, "The severity at least."),
    TEXT,
    LIMIT,
    ORDER,
    CURSOR,
    COUNTS,
];
pub(super) const ANNOTATIONS: &[Parameter] = &[
    parameter("query", Kind::Text, "As logs level=error, or events device=door."),
    parameter("from", Kind::Text, "The first time, in milliseconds."),
    parameter("to", Kind::Text, "The last time, in milliseconds."),
];
pub(super) const COLUMN: &[Parameter] = &[
    parameter("from", Kind::Text, "The first key."),
    parameter("to", Kind::Text, "The key before which it ends."),
    LIMIT,
];
pub(super) const PRECISION: &[Parameter] = &[UNIT];
pub(super) const NATIVE_SERIES: &[Parameter] = &[UNIT, START_TIME, END_TIME, LIMIT];
pub(super) const DATAPOINT: &[Parameter] = &[
    UNIT,
    parameter(
        "upsert",
        Kind::Truth,
        "Whether a point that is not there is created.",
    ),
];
pub(super) const DATAPOINTS: &[Parameter] = &[
    UNIT,
    START_TIME,
    END_TIME,
    parameter("limit", Kind::Number, "Points of a page, 1000 without it."),
    parameter("order", Kind::Text, "asc, or desc for the newest first."),
    CURSOR,
    parameter(
        "agg",
        Kind::Text,
        "avg, sum, min, max, count, first, last, stddev, rate or a percentile as p95.",
    ),
    parameter(
        "interval",
        Kind::Duration,
        "The length of the intervals of an aggregation.",
    ),
    parameter(
        "fill",
        Kind::Text,
        "What stands in intervals without points: none, null, previous or linear.",
    ),
];

pub(super) const LABELS: &[Parameter] = &[MATCH, START, END, LIMIT];
pub(super) const FEDERATE: &[Parameter] = &[MATCH_NEEDED];

pub(super) const METADATA: &[Parameter] = &[
    LIMIT,
    parameter(
        "limit_per_metric",
        Kind::Number,
        "The most entries of each metric.",
    ),
    parameter("metric", Kind::Text, "Only this metric."),
];

const SEARCHED: Parameter = parameter("search[]", Kind::Texts, "What is searched for; all without it.");
const FUZZ_THRESHOLD: Parameter = parameter(
    "fuzz_threshold",
    Kind::Number,
    "How alike it must be, from 0 to 100.",
);
const FUZZ_ALG: Parameter = parameter(
    "fuzz_alg",
    Kind::Text,
    "How likeness is told: subsequence or jarowinkler.",
);
const CASE: Parameter = parameter(
    "case_sensitive",
    Kind::Truth,
    "Whether capital letters are others than small ones.",
);
const SORT_BY: Parameter = parameter("sort_by", Kind::Text, "The order: alpha or score.");
const SORT_DIR: Parameter = parameter("sort_dir", Kind::Text, "Its direction: asc or dsc.");
const SCORE: Parameter = parameter("include_score", Kind::Truth, "Whether scores are shown.");
const BATCH: Parameter = parameter("batch_size", Kind::Number, "Entries of a line.");

pub(super) const SEARCH: &[Parameter] = &[
    MATCH,
    SEARCHED,
    FUZZ_THRESHOLD,
    FUZZ_ALG,
    CASE,
    SORT_BY,
    SORT_DIR,
    SCORE,
    START,
    END,
    LIMIT,
    BATCH,
];

pub(super) const SEARCH_METRICS: &[Parameter] = &[
    MATCH,
    SEARCHED,
    FUZZ_THRESHOLD,
    FUZZ_ALG,
    CASE,
    SORT_BY,
    SORT_DIR,
    SCORE,
    parameter(
        "include_metadata",
        Kind::Truth,
        "Whether type, help and unit are shown.",
    ),
    START,
    END,
    LIMIT,
    BATCH,
];

pub(super) const SEARCH_VALUES: &[Parameter] = &[
    needed("label", Kind::Text, "The label whose values are searched."),
    MATCH,
    SEARCHED,
    FUZZ_THRESHOLD,
    FUZZ_ALG,
    CASE,
    SORT_BY,
    SORT_DIR,
    SCORE,
    START,
    END,
    LIMIT,
    BATCH,
];

pub(super) const TARGETS: &[Parameter] = &[
    parameter("state", Kind::Text, "active, dropped or any."),
    parameter("scrapePool", Kind::Text, "Only this scrape pool."),
];

pub(super) const TARGETS_METADATA: &[Parameter] = &[
    parameter("match_target", Kind::Text, "A selector of targets."),
    parameter("metric", Kind::Text, "Only this metric."),
    parameter("limit", Kind::Number, "The most targets."),
];

pub(super) const RELABEL_STEPS: &[Parameter] = &[
    needed("scrapePool", Kind::Text, "The scrape pool."),
    needed("labels", Kind::Text, "Labels as a JSON object."),
];

pub(super) const SCRAPE_POOL: &[Parameter] = &[needed("scrapePool", Kind::Text, "The scrape pool.")];

pub(super) const RULES: &[Parameter] = &[
    parameter("type", Kind::Text, "alert or record."),
    parameter("rule_name[]", Kind::Texts, "Only rules of this name."),
    parameter("rule_group[]", Kind::Texts, "Only groups of this name."),
    parameter("file[]", Kind::Texts, "Only groups of this file."),
    parameter(
        "exclude_alerts",
        Kind::Truth,
        "Whether rules are shown without their alerts.",
    ),
    MATCH,
    parameter("group_limit", Kind::Number, "The most groups of a page."),
    parameter("group_next_token", Kind::Text, "Where the page begins."),
];

pub(super) const TSDB: &[Parameter] = &[parameter(
    "limit",
    Kind::Number,
    "The most entries of each list: 10 without it, 10000 at most.",
)];

pub(super) const SIZES: &[Parameter] = &[parameter(
    "limit",
    Kind::Number,
    "The most metrics that are named by their bytes: 20 without it, 1000 at most.",
)];

pub(super) const SELF_METRICS: &[Parameter] = &[parameter(
    "metric_name_pattern",
    Kind::Text,
    "A regular expression for whole names.",
)];

pub(super) const OPENAPI: &[Parameter] = &[parameter(
    "openapi_version",
    Kind::Text,
    "3.1 or 3.2; 3.1 without it.",
)];

pub(super) const DELETE: &[Parameter] = &[MATCH_NEEDED, START, END];

pub(super) const SNAPSHOT: &[Parameter] = &[parameter(
    "skip_head",
    Kind::Truth,
    "Accepted; what is in memory is in the snapshot all the same.",
)];

const EXTRA_LABEL: Parameter = parameter(
    "extra_label",
    Kind::Texts,
    "name=value: a label of every sample, in place of its own.",
);
const TIMESTAMP: Parameter = parameter(
    "timestamp",
    Kind::Number,
    "The time of samples without one, in milliseconds.",
);

pub(super) const IMPORT: &[Parameter] = &[EXTRA_LABEL];

pub(super) const IMPORT_TEXT: &[Parameter] = &[TIMESTAMP, EXTRA_LABEL];

pub(super) const IMPORT_CSV: &[Parameter] = &[
    needed(
        "format",
        Kind::Text,
        "What the columns have, as 2:metric:ask,1:label:ticker,3:time:unix_s.",
    ),
    TIMESTAMP,
    EXTRA_LABEL,
];

pub(super) const EXPORT: &[Parameter] = &[
    MATCH_NEEDED,
    START,
    END,
    parameter(
        "max_rows_per_line",
        Kind::Number,
        "The most samples of a line, 10000 at most.",
    ),
    parameter(
        "format",
        Kind::Text,
        "prometheus for the text format; without it JSON lines.",
    ),
];

pub(super) const EXPORT_CSV: &[Parameter] = &[
    needed(
        "format",
        Kind::Text,
        "The columns, as __name__,job,__value__,__timestamp__:unix_ms.",
    ),
    MATCH_NEEDED,
    START,
    END,
];

pub(super) const INFLUX: &[Parameter] = &[
    parameter(
        "precision",
        Kind::Text,
        "What times are counted in: ns, us, ms, s, m or h; without it, what their size suggests.",
    ),
    parameter(
        "db",
        Kind::Text,
        "The label db of lines without a tag of that name.",
    ),
    EXTRA_LABEL,
];

pub(super) const INFLUX_QUERY: &[Parameter] = &[needed("q", Kind::Text, "The statement.")];
