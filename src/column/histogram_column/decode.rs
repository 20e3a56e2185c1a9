//! Reading what [`encode`](super::encode) wrote.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::coder::{Decoder, read_number, read_sized};
use super::columns::Columns;
use super::flat::{EXPONENT_MAX, Flat, float_bits};
use super::shape::{Form, Layout, Layouts};
use super::{BUCKETS_MAX, CELLS_MAX, RAW, SAMPLES_MAX, TIMES_MEAN};
use crate::base::bits::BitReader;
use crate::base::bytes::Corrupt;
use crate::base::varint::unzigzag;
use crate::model::histogram::{Histogram, ResetHint};

pub(super) fn series(bytes: &[u8]) -> Result<Vec<(i64, Histogram)>, Corrupt> {
    let mut reader = Reader {
        input: BitReader::new(bytes),
        cells_left: CELLS_MAX,
        form: None,
        layout: None,
    };
    reader.series().ok_or_else(|| {
        let offset = reader.input.bit_position() / 8;
        Corrupt::new("histogram columns", offset.min(bytes.len()))
    })
}

pub(super) fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let count = read_number(&mut BitReader::new(bytes)).filter(|count| *count <= SAMPLES_MAX as u64);
    count.ok_or(Corrupt::new("number of histograms", 0))
}

struct Reader<'a> {
    input: BitReader<'a>,
    /// Words of columns that may still be allocated.
    cells_left: usize,
    /// Form and last layout of the run before.
    form: Option<Form>,
    layout: Option<Layout>,
}

/// The layouts of a run and when they change.
struct Changes {
    layouts: Layouts,
    changes: Vec<(usize, usize)>,
}

impl Reader<'_> {
    fn series(&mut self) -> Option<Vec<(i64, Histogram)>> {
        let count = usize::try_from(read_number(&mut self.input)?).ok()?;
        if count > SAMPLES_MAX {
            return None;
        }
        let timestamps = self.timestamps(count)?;
        let mut histograms = Vec::with_capacity(count);
        while histograms.len() < count {
            self.run(count - histograms.len(), &mut histograms)?;
        }
        if self.input.overrun() || self.input.remaining() >= 8 {
            return None;
        }
        Some(timestamps.into_iter().zip(histograms).collect())
    }

    fn timestamps(&mut self, count: usize) -> Option<Vec<i64>> {
        let mut timestamps = Vec::with_capacity(count);
        if count == 0 {
            return Some(timestamps);
        }
        let mut timestamp = unzigzag(read_sized(&mut self.input));
        timestamps.push(timestamp);
        let mut decoder = Decoder::new(TIMES_MEAN);
        let mut step = 0i64;
        for index in 1..count {
            step = if index == 1 {
                unzigzag(read_sized(&mut self.input))
            } else {
                step.wrapping_add(unzigzag(decoder.get(&mut self.input)))
            };
            timestamp = timestamp.wrapping_add(step);
            timestamps.push(timestamp);
        }
        (!self.input.overrun()).then_some(timestamps)
    }

    /// Reads one run of at most `left` samples.
    fn run(&mut self, left: usize, histograms: &mut Vec<Histogram>) -> Option<()> {
        let samples = if self.input.bits(1)? == 1 {
            left
        } else {
            usize::try_from(read_number(&mut self.input)?)
                .ok()?
                .checked_add(1)?
        };
        if samples > left {
            return None;
        }
        let form = match self.form.take() {
            Some(form) if self.input.bits(1)? == 1 => form,
            _ => Form::read(&mut self.input)?,
        };
        let resets = self.resets(samples)?;
        let sums = self.sums(samples)?;
        let start = histograms.len();
        if form.stale {
            histograms.extend(sums.iter().map(|&sum| stale_marker(&form, sum)));
        } else {
            let changes = self.changes(samples)?;
            let flats = self.counts(&form, &changes, samples)?;
            let layouts = changes.per_sample(samples);
            let parts = sums.iter().zip(&flats).zip(layouts);
            histograms.extend(parts.map(|((&sum, flat), layout)| histogram(&form, layout, sum, flat)));
        }
        for reset in resets {
            histograms.get_mut(start + reset)?.reset_hint = ResetHint::Reset;
        }
        self.form = Some(form);
        Some(())
    }

    fn resets(&mut self, samples: usize) -> Option<Vec<usize>> {
        let count = read_number(&mut self.input)?;
        let mut resets = Vec::new();
        let mut at = 0usize;
        for _ in 0..count {
            at = at.checked_add(usize::try_from(read_number(&mut self.input)?).ok()?)?;
            if at >= samples {
                return None;
            }
            resets.push(at);
        }
        Some(resets)
    }

    /// A power of ten, or `None` inside for the bits themselves.
    fn exponent(&mut self) -> Option<Option<u32>> {
        match self.input.bits(4)? {
            RAW => Some(None),
            exponent if exponent <= u64::from(EXPONENT_MAX) => Some(Some(exponent as u32)),
            _ => None,
        }
    }

    fn columns(&mut self, columns: usize, samples: usize) -> Option<Columns> {
        self.cells_left = self.cells_left.checked_sub(columns.checked_mul(samples)?)?;
        Columns::read(&mut self.input, columns, samples)
    }

    fn sums(&mut self, samples: usize) -> Option<Vec<u64>> {
        let exponent = self.exponent()?;
        let mut words = self.columns(1, samples)?.words;
        if let Some(exponent) = exponent {
            words
                .iter_mut()
                .for_each(|word| *word = float_bits(*word, exponent));
        }
        Some(words)
    }

    fn new_layout(&mut self) -> Option<Layout> {
        let layout = Layout::read(&mut self.input)?;
        self.cells_left = self.cells_left.checked_sub(layout.buckets())?;
        (layout.buckets() <= BUCKETS_MAX).then_some(layout)
    }

    fn changes(&mut self, samples: usize) -> Option<Changes> {
        let first = match self.layout.take() {
            Some(layout) if self.input.bits(1)? == 1 => layout,
            _ => self.new_layout()?,
        };
        let mut layouts = vec![first];
        let mut changes = Vec::new();
        let count = read_number(&mut self.input)?;
        let mut sample = 0usize;
        for _ in 0..count {
            sample = sample.checked_add(usize::try_from(read_number(&mut self.input)?).ok()?)?;
            if sample >= samples {
                return None;
            }
            let index = match usize::try_from(read_number(&mut self.input)?).ok()? {
                0 => {
                    layouts.push(self.new_layout()?);
                    layouts.len() - 1
                }
                known => known - 1,
            };
            layouts.get(index)?;
            changes.push((sample, index));
        }
        let several = layouts.len() > 1;
        if several && !layouts.iter().all(Layout::is_canonical) {
            return None;
        }
        let last = changes.last().map_or(0, |change| change.1);
        self.layout = layouts.get(last).cloned();
        let layouts = Layouts::new(layouts);
        Some(Changes { layouts, changes })
    }

    fn counts(&mut self, form: &Form, changes: &Changes, samples: usize) -> Option<Vec<Flat>> {
        let mut exponent = None;
        let mut raw = false;
        if form.float {
            exponent = self.exponent()?;
            raw = exponent.is_none();
        }
        let matrix = self.columns(changes.layouts.width + 1, samples)?;
        let derived = !raw && self.input.bits(1)? == 1;
        let extra = if derived {
            vec![0; samples]
        } else {
            self.columns(1, samples)?.words
        };
        let mut flats = changes.flats(&matrix, samples);
        for (flat, extra) in flats.iter_mut().zip(extra) {
            flat.count = extra;
            if !raw {
                flat.count = flat.words().fold(0, u64::wrapping_add);
            }
            if let Some(exponent) = exponent {
                *flat = flat.map(|word| float_bits(word, exponent));
            }
        }
        Some(flats)
    }
}

impl Changes {
    /// The index of every sample's layout.
    fn indexes(&self, samples: usize) -> impl Iterator<Item = usize> + '_ {
        let mut changes = self.changes.iter().peekable();
        let mut current = 0;
        (0..samples).map(move |sample| {
            while let Some((_, index)) = changes.next_if(|change| change.0 == sample) {
                current = *index;
            }
            current
        })
    }

    fn per_sample(&self, samples: usize) -> impl Iterator<Item = &Layout> {
        self.indexes(samples)
            .filter_map(|index| self.layouts.layouts.get(index))
    }

    /// Zero counts and buckets of every sample; the counts are not known yet.
    fn flats(&self, matrix: &Columns, samples: usize) -> Vec<Flat> {
        let word = |column: usize, sample: usize| {
            let word = matrix.words.get(column * samples + sample);
            word.copied().unwrap_or(0)
        };
        let columns = self.indexes(samples).map(|index| self.layouts.columns.get(index));
        let flats = columns.enumerate().map(|(sample, columns)| Flat {
            count: 0,
            zero_count: word(0, sample),
            buckets: columns
                .into_iter()
                .flatten()
                .map(|column| word(column + 1, sample))
                .collect(),
        });
        flats.collect()
    }
}

fn hint(form: &Form) -> ResetHint {
    if form.gauge {
        ResetHint::Gauge
    } else {
        ResetHint::Unknown
    }
}

fn histogram(form: &Form, layout: &Layout, sum: u64, flat: &Flat) -> Histogram {
    let positives: usize = layout.positive.iter().map(|span| span.length as usize).sum();
    Histogram {
        reset_hint: hint(form),
        schema: form.schema,
        zero_threshold: f64::from_bits(form.zero_threshold),
        sum: f64::from_bits(sum),
        positive_spans: layout.positive.clone(),
        negative_spans: layout.negative.clone(),
        custom_values: form
            .custom_values
            .iter()
            .map(|&bits| f64::from_bits(bits))
            .collect(),
        counts: flat.counts(form.float, positives),
    }
}

fn stale_marker(form: &Form, sum: u64) -> Histogram {
    let empty = Layout {
        positive: Vec::new(),
        negative: Vec::new(),
    };
    let flat = Flat {
        count: 0,
        zero_count: 0,
        buckets: Vec::new(),
    };
    histogram(form, &empty, sum, &flat)
}
