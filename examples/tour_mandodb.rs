//! A tour for users of mandodb: what its calls and options are called here, and where the answer differs.
//!
//! | mandodb | here |
//! |---|---|
//! | `OpenTSDB(opts...)` | `Db::open(Options)`; options belong to one database, not to the process |
//! | `InsertRows(rows)` | `batch.push(..)`, then `commit()`, which returns after the rows are durable and says what was refused |
//! | `QueryRange(metric, matchers, start, end)` | `db.select(matchers, start..=end)`, both ends included |
//! | `QuerySeries(matchers, start, end)` | `db.series(matchers, start..=end, ListOptions)` |
//! | `QueryLabelValues(label, start, end)` | `db.label_values(label, &[], start..=end, ListOptions)`, sorted |
//! | `Close()` | `db.close()`, which loses nothing |
//! | `WithDataPath` | `Options::new(path)` |
//! | `WithOnlyMemoryMode` | `Options::in_memory()` |
//! | `WithMetaBytesCompressorType` | `metadata_compressor` and `data_compressor`: none, Snappy or Zstd |
//! | `WithMetaSerializerType` | none: there is one, binary; a `.json` for people lies beside each segment |
//! | `WithEnabledOutdated` | late rows of any age are accepted, and seen at once |
//! | `WithMaxRowsPerSegment` | `flush_samples_min` and `head_bytes_max`; the span of 2 h is `segment_span` |
//! | `WithRetention` | `retention`, also by size (`retention_bytes`) and by series (`retention_rule`); none unless asked for |
//! | `WithWriteTimeout` | none: there is no queue that could be full; `commit` answers |
//! | `WithLoggerConfig` | any subscriber of the `tracing` crate |
//! | `LabelMatcher{IsRegx}` | `Matcher::eq`, `ne`, `re`, `not_re`; an invalid expression is an error, not a literal |
//!
//! Output:
//!
//! ```text
//! InsertRows: 9 accepted
//! QueryRange cpu.busy, host =~ "a|b", 100 to 102 inclusive:
//!   cpu.busy{core="0", host="a"}: 100=0.5 101=0.75 102=1
//!   cpu.busy{core="0", host="b"}: 100=0.25 101=0.5 102=0.75
//! a late row is seen at once:
//!   cpu.busy{core="0", host="a"}: 99=0.125 100=0.5
//! QuerySeries host != "b":
//!   cpu.busy{core="0", host="a"}
//!   mem.free{host="a"}
//! QueryLabelValues host: a b
//! an invalid expression is refused: true
//! reopened from disk: 10 samples
//! ```

use narthex::{Compressor, Db, Error, ListOptions, Matcher, Options, Precision, labels};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// mandodb's defaults, as far as they mean something here: seconds, two hours to a segment.
fn options(folder: &Path) -> Options {
    Options::new(folder)
        .precision(Precision::Seconds)
        .segment_span(Duration::from_secs(2 * 3_600))
        .metadata_compressor(Compressor::Zstd)
        .data_compressor(Compressor::Snappy)
        .flush_samples_min(1_000_000)
}

/// `InsertRows`: a metric, its labels and its points.
fn insert_rows(db: &Db) -> Result<usize, Error> {
    let mut batch = db.batch();
    for second in 0..3 {
        let value = f64::from(second) / 4.0;
        let time = 100 + i64::from(second);
        batch.push_pairs(
            &[("__name__", "cpu.busy"), ("host", "a"), ("core", "0")],
            time,
            value + 0.5,
        );
        batch.push_pairs(
            &[("__name__", "cpu.busy"), ("host", "b"), ("core", "0")],
            time,
            value + 0.25,
        );
        batch.push_pairs(&[("__name__", "mem.free"), ("host", "a")], time, 4096.0 - value);
    }
    Ok(batch.commit()?.accepted)
}

/// `QueryRange`: both ends included, one line for each series.
fn query_range(
    db: &Db,
    metric: &str,
    matchers: &[Matcher],
    start: i64,
    end: i64,
    out: &mut impl Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut all = vec![Matcher::eq("__name__", metric)];
    all.extend_from_slice(matchers);
    for series in db.select(&all, start..=end)? {
        let series = series?;
        write!(out, "  {}:", series.labels())?;
        for sample in series.samples() {
            let value = sample.value.as_float().unwrap_or(f64::NAN);
            write!(out, " {}={value}", sample.timestamp)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

pub(crate) fn run(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let db = Db::open(options(folder))?;
    writeln!(out, "InsertRows: {} accepted", insert_rows(&db)?)?;

    writeln!(out, "QueryRange cpu.busy, host =~ \"a|b\", 100 to 102 inclusive:")?;
    query_range(&db, "cpu.busy", &[Matcher::re("host", "a|b")], 100, 102, out)?;

    writeln!(out, "a late row is seen at once:")?;
    let mut batch = db.batch();
    batch.push(
        &labels! { "__name__" => "cpu.busy", "host" => "a", "core" => "0" },
        99,
        0.125,
    );
    batch.commit()?;
    query_range(&db, "cpu.busy", &[Matcher::eq("host", "a")], 99, 100, out)?;

    writeln!(out, "QuerySeries host != \"b\":")?;
    let all = ListOptions::default();
    for labels in db.series(&[Matcher::ne("host", "b")], 0..=200, all)?.items {
        writeln!(out, "  {labels}")?;
    }
    let hosts = db.label_values("host", &[], 0..=200, all)?.items;
    writeln!(out, "QueryLabelValues host: {}", hosts.join(" "))?;

    let invalid = db.select(&[Matcher::re("host", "a(")], 0..=200).is_err();
    writeln!(out, "an invalid expression is refused: {invalid}")?;
    db.close()?;

    let db = Db::open(options(folder))?;
    let mut count = 0;
    for series in db.select(&[Matcher::ne("__name__", "")], ..)? {
        count += series?.samples().count();
    }
    writeln!(out, "reopened from disk: {count} samples")?;
    db.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join("narthex-tour-mandodb");
    run(&folder, &mut std::io::stdout())
}
