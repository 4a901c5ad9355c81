//! QR codes for terminals and files. Dark on light explicitly: the inverse does not scan everywhere.

use std::fmt::Write;

use fast_qr::{ECL, QRBuilder, QRCode};

use crate::error::{Failure, Problem};

/// Light modules around the code.
const QUIET: usize = 2;

/// A code to paint.
pub(crate) struct Code(QRCode);

impl Code {
    /// Encodes `text`: upper case fits best. The lowest error correction keeps a ticket's code within
    /// 80×24; a screen has no scratches.
    pub(crate) fn of(text: &str) -> Result<Code, Failure> {
        let code = QRBuilder::new(text).ecl(ECL::L).build();
        code.map(Code).map_err(|_too_long| Failure::with(Problem::Client, "too much text for a QR code"))
    }

    /// Modules of a side, quiet zone included.
    fn side(&self) -> usize {
        self.0.size + 2 * QUIET
    }

    /// The quiet zone and everything outside are light.
    fn is_dark(&self, row: usize, column: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < self.0.size);
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => self.0[row][column].value(),
            _ => false,
        }
    }

    /// Two modules a character, with black and white set explicitly whatever the terminal's colours;
    /// `invert` is for screens that show colours inverted.
    pub(crate) fn half_blocks(&self, invert: bool) -> String {
        let mut text = String::new();
        for top in (0..self.side()).step_by(2) {
            text.push_str(if invert { "\u{1b}[97;40m" } else { "\u{1b}[30;107m" });
            for column in 0..self.side() {
                text.push(match (self.is_dark(top, column), self.is_dark(top + 1, column)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push_str("\u{1b}[0m\n");
        }
        text
    }

    /// Two characters a module: for terminals without colours or block characters. Needs a light
    /// background, or `invert` on a dark one.
    pub(crate) fn ascii(&self, invert: bool) -> String {
        let mut text = String::new();
        for row in 0..self.side() {
            for column in 0..self.side() {
                text.push_str(if self.is_dark(row, column) != invert { "##" } else { "  " });
            }
            text.push('\n');
        }
        text
    }

    /// A picture of eight units a module.
    pub(crate) fn svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for row in 0..side {
            for column in (0..side).filter(|column| self.is_dark(row, *column)) {
                // A String takes whatever is written to it.
                let _infallible = write!(path, "M{column},{row}h1v1h-1z");
            }
        }
        let size = side * 8;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" \
             viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0,0h{side}v{side}h-{side}z\"/><path d=\"{path}\"/></svg>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest ticket: 80 bytes in bech32m under `MT`, after `MURMESH:`.
    fn longest_ticket() -> String {
        format!("MURMESH:MT1{}", "Q".repeat(80 * 8 / 5 + 6))
    }

    #[test]
    fn the_longest_ticket_fits_a_terminal_of_80_by_24_with_two_lines_to_spare() {
        let code = Code::of(&longest_ticket()).unwrap();
        let text = code.half_blocks(false);
        assert!(text.lines().count() <= 22, "{}", text.lines().count());
        assert!(code.side() <= 80, "{}", code.side());
    }

    #[test]
    fn every_way_to_paint_shows_the_same_modules() {
        let code = Code::of("MUR1Q").unwrap();
        let ascii = code.ascii(false);
        let from_ascii = |row: usize, column: usize| {
            ascii.lines().nth(row).unwrap_or_default().chars().nth(2 * column) == Some('#')
        };
        let blocks = code.half_blocks(false);
        assert!(blocks.lines().all(|line| line.starts_with("\u{1b}[30;107m") && line.ends_with("\u{1b}[0m")));
        for (line, text) in blocks.lines().enumerate() {
            let cells = text.trim_start_matches("\u{1b}[30;107m").trim_end_matches("\u{1b}[0m");
            for (column, cell) in cells.chars().enumerate() {
                let expected = (matches!(cell, '█' | '▀'), matches!(cell, '█' | '▄'));
                assert_eq!((from_ascii(2 * line, column), from_ascii(2 * line + 1, column)), expected);
            }
        }
        // The corner of the finder pattern: a quiet zone of two, then dark.
        assert!(!from_ascii(1, 1) && from_ascii(2, 2));
        assert!(code.svg().contains("M2,2h1"));
        assert_ne!(code.ascii(true), ascii);
    }
}
