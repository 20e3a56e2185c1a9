//! Reads a wide select ahead: once it has proved to be wide, the rest of it is read on a thread of its own, while the evaluator
//! works on the series before. They come in the same order, in batches, of which there are never more than a few.

use crate::promql::source::{SeriesSamples, SeriesSet, SourceError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle, available_parallelism};

/// Work after which a select is wide: samples, and series at this many samples each. It takes some hundred microseconds,
/// several times what it takes to start a thread.
const WORK_WIDE: usize = 1 << 16;
const SERIES_WORK: usize = 100;
/// Work of a batch.
const BATCH_WORK: usize = 1 << 14;
/// Batches that wait to be evaluated.
const BATCHES_AHEAD: usize = 2;

/// Threads of this process that read ahead.
static READERS: AtomicUsize = AtomicUsize::new(0);

/// The right to run a thread. One core is left to evaluate on.
struct Turn;

impl Turn {
    fn take() -> Option<Self> {
        let most = available_parallelism().map_or(0, |cores| cores.get() - 1);
        let more = |readers| (readers < most).then_some(readers + 1);
        let taken = READERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Series that were read. Those behind `filled` are memory to be used again.
#[derive(Default)]
struct Batch {
    series: Vec<SeriesSamples>,
    filled: usize,
    /// How reading ended: with warnings, or with an error.
    end: Option<Result<Vec<String>, SourceError>>,
}

/// A set that is read ahead when it is wide.
pub(super) struct Ahead<S> {
    /// Until a thread has it.
    set: Option<S>,
    /// Work that was done, counted until a thread is asked for.
    work: usize,
    is_asked: bool,
    reader: Option<Reader>,
}

/// The thread, and what comes from it.
struct Reader {
    batch: Batch,
    /// Of the batch.
    next: usize,
    batches: Option<Receiver<Batch>>,
    /// Batches go back, for their memory.
    spent: Sender<Batch>,
    thread: Option<JoinHandle<()>>,
}

fn work(series: &SeriesSamples) -> usize {
    SERIES_WORK + series.len()
}

fn is_gone() -> SourceError {
    SourceError("BUG: the thread that reads ahead is gone".to_owned())
}

impl<S: SeriesSet + Send + 'static> Ahead<S> {
    /// A set that may start a thread, or not.
    pub(super) fn new(set: S, may_start: bool) -> Self {
        Self {
            set: Some(set),
            work: 0,
            is_asked: !may_start,
            reader: None,
        }
    }

    /// Hands the set to a thread, if one is to be had.
    fn start(&mut self) {
        self.is_asked = true;
        let reader = Turn::take().and_then(Reader::start);
        let Some((reader, sets)) = reader else { return };
        if let Some(set) = self.set.take() {
            self.reader = Some(reader);
            // The thread waits for it.
            let _ = sets.send(set);
        }
    }
}

impl<S: SeriesSet + Send + 'static> SeriesSet for Ahead<S> {
    fn next(&mut self, series: &mut SeriesSamples) -> Result<bool, SourceError> {
        if !self.is_asked && self.work > WORK_WIDE {
            self.start();
        }
        if let Some(reader) = &mut self.reader {
            return reader.next(series);
        }
        let set = self.set.as_mut().ok_or_else(is_gone)?;
        let is_found = set.next(series)?;
        self.work += work(series);
        Ok(is_found)
    }

    fn warnings(&self) -> Vec<String> {
        let ended = self.reader.as_ref().map(|reader| &reader.batch.end);
        match (ended, &self.set) {
            (Some(Some(Ok(warnings))), _) => warnings.clone(),
            (None, Some(set)) => set.warnings(),
            _ => Vec::new(),
        }
    }
}

impl Reader {
    /// Starts a thread that waits for a set to read.
    fn start<S: SeriesSet + Send + 'static>(turn: Turn) -> Option<(Self, Sender<S>)> {
        let (set_sender, sets) = channel::<S>();
        let (filled, batches) = sync_channel(BATCHES_AHEAD);
        let (spent, reusable) = channel();
        let run = move || {
            let _turn = turn;
            if let Ok(set) = sets.recv() {
                read_all(set, &filled, &reusable);
            }
        };
        let thread = Builder::new().name("narthex-read".into()).spawn(run).ok()?;
        let reader = Self {
            batch: Batch::default(),
            next: 0,
            batches: Some(batches),
            spent,
            thread: Some(thread),
        };
        Some((reader, set_sender))
    }

    fn next(&mut self, series: &mut SeriesSamples) -> Result<bool, SourceError> {
        while self.next == self.batch.filled {
            match &self.batch.end {
                Some(Ok(_)) => return Ok(false),
                Some(Err(error)) => return Err(error.clone()),
                None => self.take_batch()?,
            }
        }
        std::mem::swap(series, &mut self.batch.series[self.next]);
        self.next += 1;
        Ok(true)
    }

    fn take_batch(&mut self) -> Result<(), SourceError> {
        let batches = self.batches.as_ref().ok_or_else(is_gone)?;
        let batch = batches.recv().map_err(|_| is_gone())?;
        self.next = 0;
        // Behind its end the thread takes nothing any more.
        let _ = self.spent.send(std::mem::replace(&mut self.batch, batch));
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The thread ends when nobody takes its batches.
        self.batches = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread that read ahead panicked");
        }
    }
}

/// Reads a set to its end, or until nobody takes the batches.
fn read_all(mut set: impl SeriesSet, filled: &SyncSender<Batch>, reusable: &Receiver<Batch>) {
    loop {
        let mut batch = reusable.try_recv().unwrap_or_default();
        batch.filled = 0;
        batch.end = fill(&mut set, &mut batch);
        let is_end = batch.end.is_some();
        if filled.send(batch).is_err() || is_end {
            return;
        }
    }
}

/// Reads series until the batch is full; how the set ended, if it did.
fn fill(set: &mut impl SeriesSet, batch: &mut Batch) -> Option<Result<Vec<String>, SourceError>> {
    let mut done = 0;
    while done < BATCH_WORK {
        if batch.filled == batch.series.len() {
            batch.series.push(SeriesSamples::default());
        }
        let series = &mut batch.series[batch.filled];
        series.clear();
        match set.next(series) {
            Ok(true) => {}
            Ok(false) => return Some(Ok(set.warnings())),
            Err(error) => return Some(Err(error)),
        }
        done += work(series);
        batch.filled += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Series of one float each, which counts them; then an end, an error or a panic.
    struct Counting {
        left: u32,
        at: f64,
        end: fn() -> Result<bool, SourceError>,
    }

    impl SeriesSet for Counting {
        fn next(&mut self, series: &mut SeriesSamples) -> Result<bool, SourceError> {
            if self.left == 0 {
                return (self.end)();
            }
            self.left -= 1;
            series.clear();
            series.floats.timestamps_ms.push(1);
            series.floats.values.push(self.at);
            self.at += 1.0;
            Ok(true)
        }

        fn warnings(&self) -> Vec<String> {
            vec![format!("{} left", self.left)]
        }
    }

    fn counting(left: u32, end: fn() -> Result<bool, SourceError>) -> Ahead<Counting> {
        Ahead::new(Counting { left, at: 0.0, end }, true)
    }

    /// All series in their order, and how they ended.
    fn read(set: &mut Ahead<Counting>) -> (Vec<f64>, Result<bool, SourceError>) {
        let mut series = SeriesSamples::default();
        let mut values = Vec::new();
        loop {
            match set.next(&mut series) {
                Ok(true) => values.extend(&series.floats.values),
                end => return (values, end),
            }
        }
    }

    #[test]
    fn wide_sets_are_read_in_order_to_their_end() {
        for count in [0, 1, 700, 10_000] {
            let mut set = counting(count, || Ok(false));
            let (values, end) = read(&mut set);
            assert_eq!(end, Ok(false));
            assert!(values.iter().copied().eq((0..count).map(f64::from)), "{count}");
            assert_eq!(set.warnings(), ["0 left"]);
            assert_eq!(set.next(&mut SeriesSamples::default()), Ok(false));
        }
    }

    #[test]
    fn errors_and_panics_end_a_set() {
        let mut set = counting(5000, || Err(SourceError("no more".to_owned())));
        let (values, end) = read(&mut set);
        assert_eq!(
            (values.len(), end),
            (5000, Err(SourceError("no more".to_owned())))
        );
        let mut set = counting(5000, || panic!("as it shall"));
        if set.next(&mut SeriesSamples::default()).is_ok() {
            set.start();
        }
        if set.reader.is_some() {
            assert_eq!(read(&mut set).1, Err(is_gone()));
        }
    }

    #[test]
    fn a_set_may_be_left_before_its_end() {
        let mut set = counting(1_000_000, || Ok(false));
        let mut series = SeriesSamples::default();
        for _ in 0..2000 {
            assert_eq!(set.next(&mut series), Ok(true));
        }
    }

    #[test]
    fn no_more_threads_read_than_there_are_cores_to_spare() {
        let turns: Vec<Turn> = std::iter::from_fn(Turn::take).collect();
        let most = available_parallelism().map_or(0, |cores| cores.get() - 1);
        assert!(turns.len() <= most && READERS.load(Ordering::Relaxed) >= turns.len());
    }
}
