//! Living machines fed with sequences of frames that hostile bytes choose: valid ones, changed, cut, repeated,
//! in any order, and bytes that never were one. The fuzz targets of `simulations/fuzz` include this file.
//!
//! A program is bytes, read as far as they go: whatever a fuzzer or a test makes of them is a program.

#[path = "sequences/disk.rs"]
pub(crate) mod disk;
#[path = "sequences/keeper.rs"]
pub(crate) mod keeper;
#[path = "sequences/messenger.rs"]
pub(crate) mod messenger;

use murmesh_protocol::wire::frame::Frame;

/// Steps of one program; what comes after them is not looked at.
pub(crate) const STEPS_MAX: usize = 64;

/// A program and how far it was read. Beyond its end everything is zero.
pub(crate) struct Program<'a> {
    rest: &'a [u8],
    steps: usize,
}

impl<'a> Program<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Program<'a> {
        Program { rest: bytes, steps: 0 }
    }

    /// What the next step is; none at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        self.steps += 1;
        (self.steps <= STEPS_MAX && !self.rest.is_empty()).then(|| self.byte())
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *byte
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.byte()) + 256 * usize::from(self.byte());
        number % end.max(1)
    }

    /// Bytes of a length that it names itself.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.below(1 << 16).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes
    }

    /// Everything that is left.
    pub(crate) fn remainder(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// What a hostile peer makes of valid bytes: a bit flipped, cut, longer, another first byte, one part
    /// overwritten.
    pub(crate) fn changed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let at = self.below(bytes.len());
        match self.byte() % 6 {
            0 => {
                let bit = self.byte() % 8;
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            1 => bytes.truncate(at),
            2 => bytes.extend_from_slice(self.bytes()),
            3 => {
                let version = self.byte();
                bytes.iter_mut().take(1).for_each(|byte| *byte = version);
            }
            4 => {
                let part = self.bytes();
                bytes.iter_mut().skip(at).zip(part).for_each(|(byte, other)| *byte = *other);
            }
            _ => drop(bytes.splice(at..at, self.bytes().iter().copied())),
        }
        bytes
    }
}

/// Bytes as they come from a stream: most are not a frame.
pub(crate) fn frame_of(bytes: &[u8]) -> Option<Frame> {
    Frame::from_bytes(bytes).ok()
}
