//! Reducing what has no bound: URLs to path templates, statements to summaries.
