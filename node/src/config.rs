//! Configuration.

/// `node.role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleChoice {
    /// By reachability and time.
    Auto,
    /// Full at once.
    Full,
    /// Never full.
    Light,
}
