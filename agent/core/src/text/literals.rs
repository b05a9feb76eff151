//! Statements of SQL without the values in them: `select a from b where c = 'd'` becomes
//! `select a from b where c = ?`.
//!
//! Texts, numbers and what stands between dollar quotes become `?`, lists of these one `?`, comments go, and
//! runs of blanks become one. Quoted names stay, but for `MySQL`, whose double quotes hold texts. Placeholders
//! stay. A text without an end is a value up to the statement's end.

/// See the module's text. `system` is `db.system.name` or `db.system`.
pub fn statement_without_literals(system: &str, statement: &str) -> String {
    let has_quoted_text = matches!(system, "mysql" | "mariadb" | "tidb");
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let is_in_word = out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ':' | '@'));
        if matches!(first, '"' | '`') && !(first == '"' && has_quoted_text) {
            let after = after_quoted(rest, first);
            out.push_str(&rest[..rest.len() - after.len()]);
            rest = after;
            continue;
        }
        let after = match first {
            '\'' => Some(after_quoted(rest, '\'')),
            '"' if has_quoted_text => Some(after_quoted(rest, '"')),
            '$' if !is_in_word => after_dollar_quoted(rest),
            '0'..='9' if !is_in_word => {
                Some(rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            }
            _ => None,
        };
        if let Some(after) = after {
            push_value(&mut out);
            rest = after;
        } else if let Some(after) = after_blank(rest) {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Adds a value; one that follows another in a list is not told.
fn push_value(out: &mut String) {
    let before = out.trim_end();
    match before.strip_suffix(',').map(str::trim_end) {
        Some(list) if list.ends_with('?') => out.truncate(list.len()),
        _ => out.push('?'),
    }
}

/// What follows a quoted text; a quote in it is doubled or has a backslash.
fn after_quoted(text: &str, quote: char) -> &str {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return &text[at + quote.len_utf8()..];
        }
    }
    ""
}

/// What follows `$tag$ ... $tag$`; `None` for a placeholder such as `$1`.
fn after_dollar_quoted(text: &str) -> Option<&str> {
    let end = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))? + 1;
    let tag = text.get(..=end)?;
    if !tag.ends_with('$') || tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let inside = &text[tag.len()..];
    Some(inside.find(tag).map_or("", |at| &inside[at + tag.len()..]))
}

/// What follows a blank or a comment.
fn after_blank(text: &str) -> Option<&str> {
    if let Some(comment) = text.strip_prefix("--") {
        return Some(comment.split_once('\n').map_or("", |(_, after)| after));
    }
    if let Some(comment) = text.strip_prefix("/*") {
        return Some(comment.split_once("*/").map_or("", |(_, after)| after));
    }
    let after = text.trim_start();
    (after.len() < text.len()).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> String {
        statement_without_literals("postgresql", statement)
    }

    #[test]
    fn values_become_placeholders_and_names_stay() {
        assert_eq!(of("select a from b1 where c = 'it''s' and d > 4.5"), "select a from b1 where c = ? and d > ?");
        assert_eq!(
            of("SELECT \"x 1\"  FROM t\nWHERE a = $1 and b = 'a\\'b'"),
            "SELECT \"x 1\" FROM t WHERE a = $1 and b = ?"
        );
        assert_eq!(of("insert into t values (1, 'a', 0x1F)"), "insert into t values (?)");
        assert_eq!(of("select $tag$ secret $ x $tag$, :name, @p1"), "select ?, :name, @p1");
        assert_eq!(statement_without_literals("mysql", "select \"secret\""), "select ?");
    }

    #[test]
    fn comments_go_and_what_has_no_end_is_a_value() {
        assert_eq!(of("select 1 -- token=abc\n/* secret */ from t /* x"), "select ? from t");
        assert_eq!(of("select 'never ends"), "select ?");
        assert_eq!(of(""), "");
    }
}
