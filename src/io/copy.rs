//! Copies of whole files, with a checksum made on the way.
//!
//! The checksum of a file is that of its first [`PIECE_BYTES`], then of each piece of that length seeded with the one
//! before. An empty file has 0.

use std::path::Path;
use std::sync::Arc;

use super::{AtomicFile, File, Fs, FsError};
use crate::base::hash;

/// Bytes read at a time, and covered by one step of the checksum.
const PIECE_BYTES: u64 = 1 << 20;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) bytes: u64,
    pub(crate) checksum: u64,
}

/// Length and checksum of a whole file.
pub(crate) fn checksum_file(fs: &Arc<dyn Fs>, path: &Path) -> Result<Copied, FsError> {
    let file = fs.open_read(path)?;
    read_pieces(&*file, file.size()?, |_| Ok(()))
}

fn read_pieces(
    file: &dyn File,
    bytes: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), FsError>,
) -> Result<Copied, FsError> {
    let (mut at, mut checksum, mut piece) = (0, 0, Vec::new());
    while at < bytes {
        piece.resize((bytes - at).min(PIECE_BYTES) as usize, 0);
        file.read_at(at, &mut piece)?;
        checksum = hash::checksum_seeded(&piece, checksum);
        each(&piece)?;
        at += piece.len() as u64;
    }
    Ok(Copied { bytes, checksum })
}

/// Copies the first `length` bytes of `from`, or all of it, to `to`, which appears whole and durable or not at all.
pub(crate) fn copy_file(
    fs: &Arc<dyn Fs>,
    from: &Path,
    to: &Path,
    length: Option<u64>,
) -> Result<Copied, FsError> {
    let file = fs.open_read(from)?;
    let bytes = match length {
        Some(length) => length,
        None => file.size()?,
    };
    let mut copy = AtomicFile::create(fs, to)?;
    let copied = read_pieces(&*file, bytes, |piece| copy.write(piece))?;
    copy.finish()?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{SimFs, read_file, write_file};

    #[test]
    fn a_copy_is_the_same_and_its_checksum_covers_every_byte() {
        let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
        let (from, to) = (Path::new("a"), Path::new("b"));
        let mut bytes: Vec<u8> = (0..PIECE_BYTES + 9).map(|at| (at % 251) as u8).collect();
        write_file(&fs, from, &bytes).unwrap();
        let whole = copy_file(&fs, from, to, None).unwrap();
        assert_eq!(read_file(&*fs, to).unwrap(), bytes);
        assert_eq!(checksum_file(&fs, to).unwrap(), whole);
        assert_eq!(copy_file(&fs, to, from, None).unwrap(), whole);
        let start = copy_file(&fs, to, from, Some(9)).unwrap();
        assert_eq!(read_file(&*fs, from).unwrap(), bytes[..9]);
        assert_ne!(start.checksum, whole.checksum);
        for at in [0, bytes.len() - 1] {
            bytes[at] ^= 1;
            write_file(&fs, from, &bytes).unwrap();
            assert_ne!(copy_file(&fs, from, to, None).unwrap(), whole);
            bytes[at] ^= 1;
        }
    }
}
