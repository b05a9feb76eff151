//! The demo content service.
