//! What murmesh costs, beside what the machine can do at all in the same run (`scripts/bench.sh`).
//!
//! Real processes on loopback, durable on both sides. Nothing is asserted: the machine may be shared. Each
//! figure is the median of several runs with the lowest and highest, one JSON object a line.

use std::time::Duration;

use serde::Serialize;

pub mod cost;
pub mod custody;
pub mod limits;
pub mod mail;
pub mod pair;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: &'static str,
    /// Its variant: bytes of a text, a program's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// Unit of the values.
    pub unit: &'static str,
    /// Median of the runs.
    pub median: f64,
    /// Lowest.
    pub lowest: f64,
    /// Highest.
    pub highest: f64,
    /// How many runs.
    pub runs: usize,
}

impl Figure {
    /// Of several runs; none of no run.
    #[must_use]
    pub fn of(what: &'static str, of: impl Into<String>, unit: &'static str, runs: &[f64]) -> Option<Figure> {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        let median = *sorted.get(sorted.len() / 2)?;
        Some(Figure { what, of: of.into(), unit, median, lowest, highest, runs: sorted.len() })
    }
}

/// Something could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(String);

impl Failed {
    /// For a reason, in words or as somebody else's error.
    #[must_use]
    pub fn because(error: impl std::fmt::Display) -> Failed {
        Failed(error.to_string())
    }
}

/// The value below which this share of the sorted samples lies.
#[must_use]
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index below the number of samples"
    )]
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// As figures are told.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A count as a number to divide with.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_medians_are_of_the_samples() {
        let samples: Vec<Duration> = (1..=101).map(Duration::from_millis).collect();
        assert_eq!(quantile(&samples, 0.5), Duration::from_millis(51));
        assert_eq!(quantile(&samples, 0.99), Duration::from_millis(100));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
        let figure = Figure::of("x", "", "ms", &[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((figure.median, figure.lowest, figure.highest, figure.runs), (2.0, 1.0, 3.0, 3));
        assert!(Figure::of("x", "", "ms", &[]).is_none());
    }
}
