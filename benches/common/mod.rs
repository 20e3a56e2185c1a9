//! What the benchmarks share: how large a run is, random numbers, and a line for each figure beside the published one.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// As published; figures are judged.
    Full,
    /// A few points, to see that everything works; figures mean nothing.
    Small,
}

impl Size {
    /// `cargo bench` says `--bench`. Without it, as `cargo test --benches` runs it, or with `NARTHEX_BENCH_SMALL` it is small.
    pub(crate) fn asked_for() -> Self {
        let is_bench = std::env::args().any(|argument| argument == "--bench");
        match is_bench && std::env::var_os("NARTHEX_BENCH_SMALL").is_none() {
            true => Self::Full,
            false => Self::Small,
        }
    }

    /// The number of something in this size.
    pub(crate) fn of(self, full: usize, small: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Small => small,
        }
    }
}

/// The figures of a run.
#[derive(Debug)]
pub(crate) struct Figures<'a, W: Write> {
    pub(crate) out: &'a mut W,
    pub(crate) size: Size,
    /// Whether every figure with a bar is below it.
    pub(crate) all_hold: bool,
}

impl<W: Write> Figures<'_, W> {
    /// Prints a figure, what was published of the other store, and whether it is below the bar, if there is one.
    pub(crate) fn add(
        &mut self,
        name: &str,
        (figure, unit): (f64, &str),
        published: impl Display,
        bar: Option<f64>,
    ) -> std::io::Result<()> {
        let holds = bar.is_none_or(|bar| figure < bar);
        self.all_hold &= holds;
        let judged = match (self.size, bar) {
            (Size::Small, _) | (_, None) => String::new(),
            (Size::Full, Some(bar)) => format!("  below {bar}: {}", if holds { "yes" } else { "NO" }),
        };
        writeln!(
            self.out,
            "{name:<44} {figure:>10.1} {unit:<8} published: {published}{judged}"
        )
    }

    /// Success, unless a bar of a full run does not hold.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.all_hold || self.size == Size::Small {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

/// What one of `count` took, in nanoseconds.
pub(crate) fn ns_each(took: Duration, count: usize) -> f64 {
    took.as_nanos() as f64 / count.max(1) as f64
}
