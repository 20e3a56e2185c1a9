//! Many texts in one piece of memory: what is listed by the thousand and would otherwise be an allocation each.

/// Texts one behind the other, each with its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// For who writes texts in place: each ends where it says so, behind the one before.
    pub(crate) fn parts_mut(&mut self) -> (&mut Vec<u8>, &mut Vec<usize>) {
        (&mut self.bytes, &mut self.ends)
    }

    pub(crate) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.bytes.reserve(bytes);
        self.ends.reserve(texts);
    }

    /// Keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all texts.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The text at `place`, empty behind the last.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> &[u8] {
        let end_of = |place: usize| self.ends.get(place).copied().unwrap_or(0);
        let start = place.checked_sub(1).map_or(0, end_of);
        self.bytes.get(start..end_of(place)).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let bounds = starts.zip(&self.ends);
        bounds.map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}

impl<'t> FromIterator<&'t [u8]> for Texts {
    fn from_iter<I: IntoIterator<Item = &'t [u8]>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_one_by_one() {
        let all: [&[u8]; 4] = [b"a", b"", b"bcd", b"\0"];
        let texts: Texts = all.into_iter().collect();
        assert!(texts.iter().eq(all));
        let by_place: Vec<&[u8]> = (0..texts.len()).map(|place| texts.at(place)).collect();
        assert_eq!(
            (by_place.as_slice(), texts.at(4), texts.byte_len()),
            (&all[..], &b""[..], 5)
        );
    }
}
