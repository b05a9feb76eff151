//! The agent of tiertop: what listens, serves and ships around the pure engine of tiertop-core.

pub mod feed;
