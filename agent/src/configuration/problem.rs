//! What is wrong in a file, where, and what would be right.

use std::fmt;
use std::ops::Range;

/// Names that differ from what was written by more than this share are no proposal.
const NEAR: f64 = 0.75;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
    /// The key, with its section; empty where the text is no TOML.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

impl Problem {
    /// What a reader of TOML said about a place in the text, under the key that was found there.
    pub(super) fn new(text: &str, span: &Range<usize>, key: String, said: &str) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, key, what: in_words(said) }
    }
}

/// Says in a user's words what serde says in those of types.
pub(super) fn in_words(said: &str) -> String {
    if let Some((written, others)) = unknown(said, "unknown field ") {
        return format!("there is no such key as `{written}`{}", choice(written, &others));
    }
    if let Some((written, others)) = unknown(said, "unknown variant ") {
        return format!("`{written}` is none of those there are{}", choice(written, &others));
    }
    let wrong = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    if let Some((found, wanted)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("expected {}, found {found}", kind(wanted));
    }
    if said == "invalid socket address syntax" {
        return "it is no address; give IP:PORT, such as 127.0.0.1:4317".to_owned();
    }
    if let Some(name) = said.strip_prefix("missing field ") {
        return format!("it needs {name}");
    }
    said.lines().collect::<Vec<_>>().join(", ")
}

/// The name that was written, and those that there are.
fn unknown<'s>(said: &'s str, beginning: &str) -> Option<(&'s str, Vec<&'s str>)> {
    let mut quoted = said.strip_prefix(beginning)?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

/// The nearest name, if one is near, else all of them.
pub(super) fn choice(written: &str, names: &[&str]) -> String {
    let nearness = |name: &str| strsim::jaro_winkler(written, name);
    let nearest = names.iter().max_by(|one, other| nearness(one).total_cmp(&nearness(other)));
    match nearest.filter(|name| nearness(name) >= NEAR) {
        Some(name) => format!("; did you mean `{name}`?"),
        None if names.is_empty() => String::new(),
        None => format!("; there are {}", names.join(", ")),
    }
}

/// What kind of value a type of Rust is.
fn kind(wanted: &str) -> &str {
    match wanted {
        "i64" | "u64" | "u32" | "u16" | "u8" | "usize" => "a whole number",
        "f64" => "a number",
        "socket address" => "an address such as \"127.0.0.1:4317\"",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        struct_name if struct_name.starts_with("struct ") => "a table of keys",
        other => other,
    }
}
