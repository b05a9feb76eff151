//! The vocabulary and the pure engine.
