//! How much there is in text that passes: the samples of JSON lines, of other formats the lines.

/// Before the times of a line of JSON.
const TIMES: &[u8] = b"\"timestamps\":[";

/// Counts what passes, however it is cut.
#[derive(Debug)]
pub(super) struct Counter {
    is_json: bool,
    /// Bytes of [`TIMES`] that were just seen.
    seen: usize,
    is_empty: bool,
    pub(super) count: u64,
}

impl Counter {
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            seen: 0,
            is_empty: true,
            count: 0,
        }
    }

    pub(super) fn unit(&self) -> &'static str {
        if self.is_json { "samples" } else { "lines" }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if !self.is_json {
            self.count += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            return;
        }
        for byte in bytes {
            match (TIMES.get(self.seen), byte) {
                // Within the list: as many times as commas, and one.
                (None, b']') => {
                    self.count += u64::from(!self.is_empty);
                    (self.seen, self.is_empty) = (0, true);
                }
                (None, b',') => self.count += 1,
                (None, _) => self.is_empty = false,
                (Some(wanted), byte) if wanted == byte => self.seen += 1,
                (Some(_), byte) => self.seen = usize::from(*byte == b'"'),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_lines_are_counted_however_the_text_is_cut() {
        let json = b"{\"metric\":{\"a\":\"x,y\"},\"values\":[1,2,3],\"timestamps\":[1,2,3]}\n{\"timestamps\":[7],\"values\":[1]}\n\
                     {\"timestamps\":[],\"values\":[]}\n";
        for bytes in 1..json.len() {
            let (mut samples, mut lines) = (Counter::new(true), Counter::new(false));
            for piece in json.chunks(bytes) {
                samples.feed(piece);
                lines.feed(piece);
            }
            assert_eq!((samples.count, lines.count), (4, 3), "{bytes}");
        }
    }
}
