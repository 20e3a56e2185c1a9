//! A file that is read from its begin to its end, decompressed as its name says, with the bytes counted that it takes on the disk.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

/// Counts what is read.
struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// Text that is read.
pub(super) struct Source {
    text: Box<dyn Read>,
    bytes: Rc<Cell<u64>>,
    /// The size of the file, if it is one.
    pub(super) bytes_total: Option<u64>,
}

impl Source {
    /// `-` is stdin, read as it is.
    #[expect(clippy::disallowed_methods, reason = "a file beside the database, read once")]
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Self::of(io::stdin(), None, None);
        }
        let file = std::fs::File::open(path)?;
        let bytes_total = file.metadata()?.len();
        Self::of(file, path.extension(), Some(bytes_total))
    }

    fn of(
        inner: impl Read + 'static,
        extension: Option<&OsStr>,
        bytes_total: Option<u64>,
    ) -> io::Result<Self> {
        let bytes = Rc::new(Cell::new(0));
        let inner = Counted {
            inner,
            bytes: bytes.clone(),
        };
        let text: Box<dyn Read> = match extension.and_then(OsStr::to_str) {
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(inner)),
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(inner)?),
            _ => Box::new(inner),
        };
        Ok(Self {
            text,
            bytes,
            bytes_total,
        })
    }

    /// Appends so much of the text at most; nothing at its end.
    pub(super) fn read(&mut self, out: &mut Vec<u8>, bytes_max: u64) -> io::Result<usize> {
        Read::take(&mut self.text, bytes_max).read_to_end(out)
    }

    /// Bytes of the file that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_files_are_read() {
        let text = b"a 1\n".repeat(5_000);
        let mut gzip = flate2::read::GzEncoder::new(&text[..], flate2::Compression::fast());
        let mut zipped = Vec::new();
        gzip.read_to_end(&mut zipped).expect("a vector");
        let zstd = zstd::encode_all(&text[..], 1).expect("a vector");
        for (extension, file) in [("", text.clone()), ("gz", zipped), ("zst", zstd)] {
            let size = file.len() as u64;
            let source = Source::of(io::Cursor::new(file), Some(OsStr::new(extension)), None);
            let (mut source, mut out) = (source.expect("a source"), Vec::new());
            while source.read(&mut out, 999).expect("readable") > 0 {}
            assert_eq!(
                (out.as_slice(), source.bytes()),
                (text.as_slice(), size),
                "{extension}"
            );
        }
        let broken = Source::of(io::Cursor::new(text), Some(OsStr::new("gz")), None);
        let read = broken.expect("a source").read(&mut Vec::new(), 10);
        assert!(read.is_err());
    }
}
