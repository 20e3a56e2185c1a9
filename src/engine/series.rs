//! What a cursor shows: a series with its samples.

use crate::model::histogram::Histogram;
use crate::model::labels::Labels;
use crate::model::sample::Sample;
use crate::model::samples::{Samples, SamplesIter};
use std::sync::Arc;

/// A series with its samples in the selected range.
#[derive(Debug, Clone, Default)]
pub struct Series {
    pub(super) labels: Labels,
    pub(super) samples: Samples,
}

impl Series {
    /// The series' labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The samples in order of time; `rev()` gives the newest first.
    pub fn samples(&self) -> SeriesSamples<'_> {
        SeriesSamples(self.samples.iter())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample, which a selected series never is.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Timestamps of the floats, beside [`Series::float_bits`]. Histograms are not among them.
    pub fn float_timestamps(&self) -> &[i64] {
        &self.samples.timestamps
    }

    /// Makes it a series of which no samples are read.
    #[cfg(feature = "server")]
    pub(crate) fn set_unread(&mut self, labels: Labels) {
        self.labels = labels;
        self.samples.clear();
    }

    /// The native histograms with their timestamps.
    pub(crate) fn histograms(&self) -> &[(i64, Arc<Histogram>)] {
        &self.samples.histograms
    }

    /// The start timestamp of the sample at a timestamp, 0 where it is not known. `None` when it is known for no sample.
    pub(crate) fn starts(&self) -> Option<impl Fn(i64) -> i64> {
        let starts = &self.samples.starts;
        (!starts.is_unknown()).then_some(move |timestamp| starts.at(timestamp))
    }

    /// Gives labels and floats away in exchange for the memory of others.
    pub(crate) fn exchange(&mut self, labels: &mut Labels, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
        std::mem::swap(&mut self.labels, labels);
        std::mem::swap(&mut self.samples.timestamps, timestamps);
        let bits = bytemuck::cast_vec(std::mem::take(values));
        *values = bytemuck::cast_vec(std::mem::replace(&mut self.samples.bits, bits));
    }

    /// Bits of the floats, beside [`Series::float_timestamps`].
    pub fn float_bits(&self) -> &[u64] {
        &self.samples.bits
    }
}

/// Iterator over the samples of a series, from either end.
#[derive(Debug, Clone)]
pub struct SeriesSamples<'a>(SamplesIter<'a>);

impl Iterator for SeriesSamples<'_> {
    type Item = Sample;

    #[inline]
    fn next(&mut self) -> Option<Sample> {
        self.0.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    #[inline]
    fn fold<B, F: FnMut(B, Sample) -> B>(self, initial: B, each: F) -> B {
        self.0.fold(initial, each)
    }
}

impl DoubleEndedIterator for SeriesSamples<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Sample> {
        self.0.next_back()
    }
}
