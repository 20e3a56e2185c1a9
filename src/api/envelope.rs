//! The envelope of Prometheus' API, written as text: `{"status":"success","data":...,"warnings":[...],"infos":[...]}`, and
//! the pieces that data is made of.

use super::error::ApiError;
use super::pieces::Out;
use crate::engine::select::Warning;
use crate::model::labels::LabelsRef;

/// Warnings, and infos, that one answer shows.
const NOTES_MAX: usize = 10;

/// What an answer says beside its data.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Notes {
    /// What the database could not read.
    pub(super) fn of(warnings: &[Warning]) -> Self {
        let in_words = |warning: &Warning| match &warning.file {
            Some(file) => format!("{}: {}", file.display(), warning.reason),
            None => warning.reason.clone(),
        };
        Self {
            warnings: warnings.iter().map(in_words).collect(),
            infos: Vec::new(),
        }
    }

    pub(super) fn truncated(&mut self) {
        self.warnings.push("results truncated due to limit".to_owned());
    }
}

/// Writes a successful answer; `data` writes its data.
pub(super) fn success(
    out: &mut Out,
    notes: &Notes,
    data: impl FnOnce(&mut Out) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    out.buffer().extend_from_slice(br#"{"status":"success","data":"#);
    data(out)?;
    let buffer = out.buffer();
    for (name, notes) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
        if notes.is_empty() {
            continue;
        }
        buffer.extend_from_slice(format!(",\"{name}\":").as_bytes());
        let shown = notes.iter().take(NOTES_MAX);
        list(buffer, shown, |buffer, note| string(buffer, note));
    }
    buffer.push(b'}');
    Ok(())
}

/// A list of what `write` writes.
pub(super) fn list<T>(
    buffer: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    buffer.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            buffer.push(b',');
        }
        write(buffer, item);
    }
    buffer.push(b']');
}

/// The same for a long list, sent as it grows.
pub(super) fn long_list<T>(
    out: &mut Out,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) -> Result<(), ApiError> {
    out.buffer().push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        let buffer = out.buffer();
        if place > 0 {
            buffer.push(b',');
        }
        write(buffer, item);
        out.flow()?;
    }
    out.buffer().push(b']');
    Ok(())
}

/// A text in quotes.
pub(super) fn string(buffer: &mut Vec<u8>, text: &str) {
    bytes_of_text(buffer, text.as_bytes());
}

/// The same of the bytes of a text.
pub(super) fn bytes_of_text(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.push(b'"');
    unquoted(buffer, bytes);
    buffer.push(b'"');
}

/// What stands between the quotes.
#[inline]
fn unquoted(buffer: &mut Vec<u8>, bytes: &[u8]) {
    // Most texts are plain.
    match is_plain(bytes) {
        true => buffer.extend_from_slice(bytes),
        false => escaped(buffer, bytes),
    }
}

#[cold]
fn escaped(buffer: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !is_special(byte) {
            continue;
        }
        buffer.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        match byte {
            b'"' | b'\\' => buffer.extend_from_slice(&[b'\\', *byte]),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\r' => buffer.extend_from_slice(b"\\r"),
            b'\t' => buffer.extend_from_slice(b"\\t"),
            _ => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                buffer.extend_from_slice(b"\\u00");
                buffer.extend_from_slice(&digits);
            }
        }
    }
    buffer.extend_from_slice(&bytes[written..]);
}

fn is_special(byte: &u8) -> bool {
    (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\')
}

/// Whether no byte needs an escape. Looks at eight at once: the highest bit of a byte is set where there is a hit, and above one.
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word;
    let hits_of = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let (quotes, slashes) = (word ^ (ONES * u64::from(b'"')), word ^ (ONES * u64::from(b'\\')));
        (below(word, 0x20) | below(quotes, 1) | below(slashes, 1)) & HIGH
    };
    // What does not fill a word at the end is looked at together with what is before it.
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let words = bytes.as_chunks::<8>().0.iter();
            words.fold(hits_of(last), |hits, word| hits | hits_of(word)) == 0
        }
        None => !bytes.iter().fold(false, |any, byte| any | is_special(byte)),
    }
}

/// A label set as an object.
pub(super) fn labels(buffer: &mut Vec<u8>, labels: LabelsRef<'_>) {
    const BETWEEN_PAIRS: &[u8; 3] = b"\",\"";
    if labels.as_bytes().is_empty() {
        buffer.extend_from_slice(b"{}");
        return;
    }
    buffer.extend_from_slice(b"{\"");
    // Labels are UTF-8 by construction, which is not looked at again.
    for (name, value) in labels.byte_pairs() {
        unquoted(buffer, name);
        buffer.extend_from_slice(b"\":\"");
        unquoted(buffer, value);
        buffer.extend_from_slice(BETWEEN_PAIRS);
    }
    buffer.truncate(buffer.len() - BETWEEN_PAIRS.len());
    buffer.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;

    #[test]
    fn special_bytes_are_found_wherever_they_are() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                for length in place + 1..=bytes.len() {
                    assert_eq!(
                        is_plain(&bytes[..length]),
                        !special,
                        "{byte} at {place} of {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn texts_are_escaped() {
        let mut buffer = Vec::new();
        for text in ["", "plain", "a\"b\\c\nd\te\r\u{1}\u{7f}é", "\u{1f}x"] {
            buffer.clear();
            string(&mut buffer, text);
            let read: String = serde_json::from_slice(&buffer).expect("valid JSON");
            assert_eq!(read, text);
        }
    }

    #[test]
    fn label_sets_are_objects() {
        let mut buffer = Vec::new();
        let some = crate::labels! { "__name__" => "up", "a.b" => "\"" };
        labels(&mut buffer, some.as_ref());
        labels(&mut buffer, Labels::default().as_ref());
        assert_eq!(buffer, br#"{"__name__":"up","a.b":"\""}{}"#);
    }
}
