//! JSON values as YAML that people read: block style, strings quoted, long texts as literal blocks.
//!
//! Every scalar is written as in JSON, which YAML includes, so nothing needs to be known of its rules for plain
//! words.

use serde_json::Value;

/// The document.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                indent(out, depth);
                out.push_str(&key(name));
                out.push(':');
                nested(out, member, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(out, depth);
                out.push('-');
                nested(out, item, depth);
            }
        }
        scalar => {
            indent(out, depth);
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

/// What follows a key or a dash: on the same line if it is a scalar.
fn nested(out: &mut String, value: &Value, depth: usize) {
    let is_nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_nested {
        out.push('\n');
        write(out, value, depth + 1);
        return;
    }
    if let Some(text) = value.as_str().filter(|text| text.contains('\n')) {
        out.push_str(" |-\n");
        for line in text.lines() {
            indent(out, depth + 1);
            out.push_str(line);
            out.push('\n');
        }
    } else {
        out.push(' ');
        write(out, value, 0);
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A name that no reader of YAML takes for anything else stands bare.
fn key(name: &str) -> String {
    let is_plain = name.len() > 1 && name.chars().all(|c| c.is_ascii_alphanumeric());
    if is_plain { name.to_owned() } else { Value::from(name).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_lists_texts_and_empty_ones_are_written() {
        let value = json!({ "Fn::Sub": "a\n b", "List": [1, "x: y", { "Empty": {}, "None": [] }] });
        let wanted = "\"Fn::Sub\": |-\n  a\n   b\nList:\n  - 1\n  - \"x: y\"\n  -\n    Empty: {}\n    None: []\n";
        assert_eq!(document(&value), wanted);
    }
}
