//! Framing and padding of what a message carries (SPEC §5.6).

use crate::wire::envelope::{ENVELOPE_OVERHEAD, SIZE_CLASSES};

/// `frame kind 1 | length 4`.
const FRAME: usize = 5;

/// No KEM material. Other kinds are refused until KEM rounds exist.
const KIND_NONE: u8 = 0;

/// Frames `content` and fills it up to the smallest size class it fits; `overhead` is what the
/// session adds to the inner. `None` if no class is large enough.
pub(super) fn pad(content: &[u8], overhead: usize) -> Option<Vec<u8>> {
    let around = ENVELOPE_OVERHEAD + overhead;
    let needed = content.len().checked_add(FRAME + around)?;
    let class = SIZE_CLASSES.iter().find(|class| **class >= needed)?;
    let len = u32::try_from(content.len()).ok()?;
    // Room for the AEAD tag, so that sealing does not move the content.
    let mut out = Vec::with_capacity(class - ENVELOPE_OVERHEAD);
    out.push(KIND_NONE);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(content);
    out.resize(class - around, 0);
    Some(out)
}

/// The most bytes of content that [`pad`] accepts.
pub(super) fn content_max(overhead: usize) -> usize {
    SIZE_CLASSES.last().copied().unwrap_or_default() - ENVELOPE_OVERHEAD - overhead - FRAME
}

/// The content of a frame, in the frame's own memory; `None` if its maker did not follow the format.
pub(super) fn unpad(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let ([kind, len @ ..], rest) = frame.split_first_chunk::<FRAME>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (_, padding) = rest.split_at_checked(len)?;
    // All of it looked at, which takes a fraction of the time of stopping at the first that is not zero.
    if *kind != KIND_NONE || padding.iter().fold(0, |any, byte| any | byte) != 0 {
        return None;
    }
    frame.truncate(FRAME + len);
    frame.drain(..FRAME);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_fills_a_class_exactly_at_each_boundary() {
        const OVERHEAD: usize = 136;
        for class in SIZE_CLASSES {
            let fits = class - ENVELOPE_OVERHEAD - OVERHEAD - FRAME;
            for len in [fits - 1, fits] {
                let frame = pad(&vec![7; len], OVERHEAD).unwrap();
                assert_eq!(frame.len() + OVERHEAD + ENVELOPE_OVERHEAD, class);
                assert_eq!(unpad(frame), Some(vec![7; len]));
            }
            let above = pad(&vec![7; fits + 1], OVERHEAD).map(|frame| frame.len());
            assert_eq!(above.is_some(), fits < content_max(OVERHEAD));
            assert!(above.is_none_or(|len| len + OVERHEAD + ENVELOPE_OVERHEAD > class));
        }
    }

    #[test]
    fn other_frames_are_refused() {
        let frame = pad(b"hello", 136).unwrap();
        for (at, value) in [(0, 1), (2, 255), (4, 255), (12, 1), (frame.len() - 1, 1)] {
            let mut bad = frame.clone();
            bad[at] = value;
            assert_eq!(unpad(bad), None, "byte {at}");
        }
        for len in 0..10 {
            assert_eq!(unpad(frame[..len].to_vec()), None);
        }
    }
}
