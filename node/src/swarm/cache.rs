//! The peer cache: a node that was killed finds its way back by it. Bounded, replaced as a whole.

use std::io::{Error, Result};
use std::path::Path;

use super::peers::Cached;
use crate::files;

/// Peers kept.
pub(super) const LINES_MAX: usize = 512;
/// A larger file is not ours.
const BYTES_MAX: u64 = 1024 * 1024;

/// Reads the cache; a missing or damaged one is empty: it is only a help.
#[must_use]
pub(super) fn load(path: &Path) -> Vec<Cached> {
    let small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= BYTES_MAX);
    let bytes = if small { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Reads what a cache file holds, for the list of decoders.
#[cfg(test)]
pub(crate) fn reads_cache(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Vec<Cached>>(bytes).is_ok()
}

/// Replaces the cache.
///
/// # Errors
/// When the disk fails; the old one is then still there.
pub(super) fn save(path: &Path, lines: &[Cached]) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(lines).map_err(Error::other)?;
    files::replace(path, &bytes)
}
