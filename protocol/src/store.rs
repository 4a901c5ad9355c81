//! Errors of the stores, shared by both machines. The traits are `messenger::store` and `keeper::store`.

/// A store failed. The step is rolled back and the machine rebuilt from what is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing was written. Goes away when room is made.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed.
    #[error("the disk failed")]
    Io,
    /// A row is not what was written: damaged, or sealed under another key.
    #[error("the database is damaged")]
    Corrupt,
}
