//! The bytes of one simulated file: sparse pages, shared between images and copied when written.

use std::sync::Arc;

const PAGE_BYTES: usize = 16 << 10;

type Page = [u8; PAGE_BYTES];

/// A file's content. Cloning shares everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    len: u64,
    /// A missing page is all zeros. Bytes beyond `len` are zeros too.
    pages: Arc<Vec<Option<Arc<Page>>>>,
}

/// The pieces of `offset..offset + length` by page: page, first byte within it, bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut at = usize::try_from(offset).expect("BUG: a simulated file fits the address space");
    let end = at + length;
    std::iter::from_fn(move || {
        let start = at % PAGE_BYTES;
        let piece = (end - at).min(PAGE_BYTES - start);
        let item = (at / PAGE_BYTES, start, piece);
        at += piece;
        (piece > 0).then_some(item)
    })
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `out` from `offset`; `false` when the file ends before.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        if offset
            .checked_add(out.len() as u64)
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let mut filled = 0;
        for (page, start, piece) in pieces(offset, out.len()) {
            let target = &mut out[filled..filled + piece];
            match self.pages.get(page).and_then(Option::as_ref) {
                Some(bytes) => target.copy_from_slice(&bytes[start..start + piece]),
                None => target.fill(0),
            }
            filled += piece;
        }
        true
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.extend(offset + bytes.len() as u64);
        let pages = Arc::make_mut(&mut self.pages);
        let mut used = 0;
        for (page, start, piece) in pieces(offset, bytes.len()) {
            if pages.len() <= page {
                pages.resize(page + 1, None);
            }
            let page = pages[page].get_or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(page)[start..start + piece].copy_from_slice(&bytes[used..used + piece]);
            used += piece;
        }
    }

    /// Makes the file at least `len` bytes long.
    pub(super) fn extend(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let keep = usize::try_from(len).expect("BUG: a simulated file fits the address space");
            let pages = Arc::make_mut(&mut self.pages);
            pages.truncate(keep.div_ceil(PAGE_BYTES));
            if let Some(Some(page)) = pages.get_mut(keep / PAGE_BYTES) {
                Arc::make_mut(page)[keep % PAGE_BYTES..].fill(0);
            }
        }
        self.len = len;
    }
}
