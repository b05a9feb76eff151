//! Pieces that screens are made of. They know a theme and figures, never the application.

pub mod bars;
pub mod columns;
pub mod paint;
pub mod trend;
pub mod waterfall;
