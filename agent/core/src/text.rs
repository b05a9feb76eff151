//! Reducing what has no bound: URLs to path templates, statements to summaries.
//!
//! A tier's operations must be few and must hold no user's data. So a path keeps its words and
//! loses its ids, and a statement keeps its verb and its first table. Both are guesses made from
//! the text alone: the same text always gives the same answer, and no answer is longer than its
//! bound.

mod literals;
mod path;
mod statement;

pub use literals::statement_without_literals;
pub use path::{PATH_SEGMENTS, path_template, path_template_into};
pub use statement::{STATEMENT_BYTES_READ, StatementSummary, statement_summary};

/// The longest start of `text` of at most `limit` bytes that ends between characters.
pub fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("abc", 5), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("", 0), "");
    }
}
