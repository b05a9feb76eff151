//! URL paths to templates: `/content/42?x=1` becomes `/content/{id}`.
//!
//! A segment is an id when it looks like one, in this order:
//! 1. only digits and the separators of dates and versions;
//! 2. an address (`@`), or longer than 64 bytes;
//! 3. hexadecimal of 8 or more with a digit in it, dashes left out (so UUIDs too);
//! 4. 12 or more characters of which a quarter are digits;
//! 5. 20 or more characters with upper case, lower case and a digit, as base64 has.
//!
//! A word that ends in a separator and two or more digits keeps the word: `user_1234` becomes
//! `user_{id}`. Placeholders that a framework left in the path (`{id}`, `:id`, `<id>`) are kept.

/// How many segments of a path are kept; the rest becomes `…`.
pub const PATH_SEGMENTS: usize = 8;

/// A segment longer than this is an id, whatever it looks like.
const SEGMENT_BYTES: usize = 64;

const PLACEHOLDER: &str = "{id}";

/// The path with what looks like ids replaced, without query and fragment, at most
/// [`PATH_SEGMENTS`] segments.
pub fn path_template(path: &str) -> String {
    let mut template = String::with_capacity(path.len().min(128));
    path_template_into(path, &mut template);
    template
}

/// As [`path_template`], appended to `out`.
pub fn path_template_into(path: &str, out: &mut String) {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let path = &path[..end];
    let (lead, segments) = match path.strip_prefix('/') {
        Some(rest) => ("/", rest),
        None => ("", path),
    };
    out.push_str(lead);
    for (place, segment) in segments.split('/').enumerate() {
        if place > 0 {
            out.push('/');
        }
        if place == PATH_SEGMENTS {
            out.push('…');
            return;
        }
        push_segment(segment, out);
    }
}

fn push_segment(segment: &str, out: &mut String) {
    if is_placeholder(segment) {
        out.push_str(segment);
    } else if is_id(segment) {
        out.push_str(PLACEHOLDER);
    } else if let Some(word) = word_before_number(segment) {
        out.push_str(word);
        out.push_str(PLACEHOLDER);
    } else {
        out.push_str(segment);
    }
}

fn is_placeholder(segment: &str) -> bool {
    segment.len() <= SEGMENT_BYTES && segment.starts_with(['{', ':', '<', '*', '['])
}

fn is_id(segment: &str) -> bool {
    let length = segment.len();
    let (mut digits, mut upper, mut lower, mut hex, mut separators, mut other) = (0, 0, 0, 0, 0, 0);
    for byte in segment.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'z' => lower += 1,
            b'A'..=b'Z' => upper += 1,
            b'-' | b'_' | b'.' | b',' | b':' => separators += 1,
            b'@' => return true,
            _ => other += 1,
        }
        hex += usize::from(byte.is_ascii_hexdigit());
    }
    if length > SEGMENT_BYTES {
        return true;
    }
    if digits == 0 {
        return false;
    }
    let only_numbers = digits + separators == length;
    let hexadecimal = hex >= 8 && hex + segment.matches('-').count() == length;
    let mixed = length >= 12 && digits * 4 >= length && other == 0;
    let base64 = length >= 20 && upper > 0 && lower > 0;
    only_numbers || hexadecimal || mixed || base64
}

/// The word with its separator, when two or more digits follow it and nothing else.
fn word_before_number(segment: &str) -> Option<&str> {
    let word = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = segment.len() - word.len();
    (digits >= 2 && word.ends_with(['-', '_', ':', '=', '.', '~'])).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_go_and_words_stay() {
        let table = [
            ("", ""),
            ("/", "/"),
            ("/api/v1/content", "/api/v1/content"),
            ("/api/v1/content/42", "/api/v1/content/{id}"),
            ("/api/v1/content/42?full=1#top", "/api/v1/content/{id}"),
            ("/content/999999999/comments/7", "/content/{id}/comments/{id}"),
            ("/u/6f1e2c34-9d1b-4f4e-8a53-0c2f3a4b5c6d", "/u/{id}"),
            ("/o/6F1E2C349D1B4F4E8A530C2F3A4B5C6D", "/o/{id}"),
            ("/commit/9f8e7d6c", "/commit/{id}"),
            ("/defaced/facade", "/defaced/facade"),
            ("/by/user_1234/posts", "/by/user_{id}/posts"),
            ("/day/2026-11-23", "/day/{id}"),
            ("/mail/someone@example.org", "/mail/{id}"),
            ("/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{id}"),
            ("/k/ord20261123x99", "/k/{id}"),
            ("/api/v1/{path:path}", "/api/v1/{path:path}"),
            ("/users/:id/posts", "/users/:id/posts"),
            ("/static/app.css", "/static/app.css"),
            ("/v2/utf-8/oauth2", "/v2/utf-8/oauth2"),
            ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/…"),
            ("GET /content/42", "GET /content/{id}"),
            ("/a//b", "/a//b"),
        ];
        for (path, template) in table {
            assert_eq!(path_template(path), template, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_template_is_bounded_and_holds_no_query(path in ".{0,300}") {
            let template = path_template(&path);
            prop_assert!(template.len() <= (PATH_SEGMENTS + 1) * (SEGMENT_BYTES + 5));
            prop_assert!(!template.contains('?'));
        }

        #[test]
        fn a_template_is_its_own_template(path in "(/[a-z0-9_-]{0,20}){0,10}") {
            let template = path_template(&path);
            prop_assert_eq!(path_template(&template), template);
        }
    }
}
