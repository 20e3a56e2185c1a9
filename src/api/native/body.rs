//! The body of a request as it arrives: decompressed, in pieces, counted against what bodies may take.

use super::refusal::Refusal;
use crate::api::admission::{Admission, HeldBytes};
use crate::api::error::ApiError;
use crate::config::Http;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use std::io::{self, Write};
use tokio::time::timeout;

/// Compressed bytes that are decompressed at once.
const STEP_BYTES: usize = 4 << 10;
/// What they may come to: a thousand times as many is no text.
const STEP_DECODED_MAX: usize = 16 << 20;

/// A body that is being read.
pub(in crate::api) struct Arriving<'a> {
    body: Body,
    decoder: Decoder,
    admission: &'a Admission,
    limits: &'a Http,
    held: HeldBytes,
}

enum Decoder {
    None,
    Gzip(Box<MultiGzDecoder<Capped>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Capped>>),
}

/// Decoded bytes, of which there may be so many between two looks.
#[derive(Default)]
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > STEP_DECODED_MAX {
            return Err(io::Error::other("it decompresses to far more than its size"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::None);
        };
        match encoding.to_str().unwrap_or("").to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Capped::default())))),
            "zstd" => {
                let decoder = zstd::stream::write::Decoder::new(Capped::default());
                let decoder = decoder.map_err(|fault| ApiError::internal(fault.to_string()))?;
                Ok(Self::Zstd(Box::new(decoder)))
            }
            other => {
                let message = format!("the content encoding {other:?} is not known");
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(Refusal::status(status, "bad_data", message).hint("send it plain, by gzip or by zstd"))
            }
        }
    }

    /// Decodes a few bytes behind what was decoded before.
    fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let decoded = match self {
            Self::None => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Gzip(decoder) => {
                decoder.write_all(bytes)?;
                decoder.flush()?;
                decoder.get_mut()
            }
            Self::Zstd(decoder) => {
                decoder.write_all(bytes)?;
                decoder.flush()?;
                decoder.get_mut()
            }
        };
        out.append(&mut decoded.0);
        Ok(())
    }

    /// What is left at the end; an end in the middle is an error.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Self::Gzip(decoder) = self {
            decoder.try_finish()?;
            out.append(&mut decoder.get_mut().0);
        }
        Ok(())
    }
}

impl<'a> Arriving<'a> {
    pub(in crate::api) fn new(
        headers: &HeaderMap,
        body: Body,
        admission: &'a Admission,
        limits: &'a Http,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            body,
            decoder: Decoder::of(headers)?,
            admission,
            limits,
            held: HeldBytes::default(),
        })
    }

    /// Appends what comes next; `false` at the end. `out` counts against the budget of all bodies.
    pub(in crate::api) async fn more(&mut self, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let frame = timeout(self.limits.body_timeout, self.body.frame()).await;
        let Some(frame) = frame.map_err(|_| ApiError::slow_body())? else {
            self.decoder.finish(out).map_err(|fault| broken(&fault))?;
            return Ok(false);
        };
        let frame = frame.map_err(|_| ApiError::bad_data("the body ended before it was complete"))?;
        let data: Bytes = frame.into_data().unwrap_or_default();
        for step in data.chunks(STEP_BYTES) {
            self.decoder.decode(step, out).map_err(|fault| broken(&fault))?;
        }
        self.admission.hold_at_least(&mut self.held, out.len())?;
        Ok(true)
    }

    /// The whole of it, no more than one body may have.
    pub(in crate::api) async fn whole(mut self) -> Result<(Vec<u8>, HeldBytes), Refusal> {
        let mut out = Vec::new();
        while self.more(&mut out).await? {
            self.check(&out)?;
        }
        self.check(&out)?;
        Ok((out, self.held))
    }

    /// Refuses what is held at once if it is more than a body may have.
    pub(in crate::api) fn check(&self, held: &[u8]) -> Result<(), Refusal> {
        let most = self.limits.body_bytes_max;
        if held.len() <= most {
            return Ok(());
        }
        let hint = "send less at once, or one point per line, which has no limit";
        Err(Refusal::from(ApiError::body_too_large(most)).hint(hint))
    }
}

fn broken(fault: &io::Error) -> Refusal {
    Refusal::field(
        "bad_encoding",
        "Content-Encoding",
        format!("the body does not decompress: {fault}"),
        "the header Content-Encoding must say how the body is compressed",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn decoded(encoding: &'static str, bytes: &[u8], step: usize) -> Result<Vec<u8>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        let mut decoder = Decoder::of(&headers).map_err(|refusal| format!("{refusal:?}"))?;
        let mut out = Vec::new();
        for step in bytes.chunks(step) {
            decoder
                .decode(step, &mut out)
                .map_err(|fault| fault.to_string())?;
        }
        decoder.finish(&mut out).map_err(|fault| fault.to_string())?;
        Ok(out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("a vector");
        encoder.finish().expect("a vector")
    }

    #[test]
    fn bodies_are_decoded_however_they_are_cut() {
        let text: Vec<u8> = (0..40_000_u32)
            .flat_map(|number| number.to_string().into_bytes())
            .collect();
        let zstd = zstd::encode_all(&text[..], 3).expect("a vector");
        for step in [1, 7, STEP_BYTES] {
            assert_eq!(decoded("gzip", &gzip(&text), step).as_deref(), Ok(&text[..]));
            assert_eq!(decoded("zstd", &zstd, step).as_deref(), Ok(&text[..]));
            assert_eq!(decoded("identity", &text, step).as_deref(), Ok(&text[..]));
        }
        assert!(decoded("br", &text, 100).is_err());
        assert!(decoded("gzip", &text, 100).is_err() && decoded("zstd", &text, 100).is_err());
    }

    #[test]
    fn bombs_do_not_go_off() {
        let zeros = vec![0; 4 * STEP_DECODED_MAX];
        let bomb = zstd::encode_all(&zeros[..], 3).expect("a vector");
        assert!(bomb.len() < STEP_BYTES * 4, "{}", bomb.len());
        assert!(decoded("zstd", &bomb, STEP_BYTES * 4).is_err());
    }
}
