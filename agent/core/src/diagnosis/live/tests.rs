//! Incidents of made-up systems, second by second.
