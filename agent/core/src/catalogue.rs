//! The metrics that the engine reads, by name.

/// Whether the engine reads metrics of this name; all others are only counted.
pub fn reads(name: &str) -> bool {
    // The table comes with the engine.
    !name.is_empty()
}
