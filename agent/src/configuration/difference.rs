//! What a configuration says otherwise than the default.

use toml::{Table, Value};

use super::Configuration;

/// The keys that differ, a line each, such as `limits.memory_mib = 128 (default 64)`.
pub fn differences(configuration: &Configuration) -> Vec<String> {
    let mut lines = Vec::new();
    of_table("", &table(configuration), &table(&Configuration::default()), &mut lines);
    lines
}

fn table(configuration: &Configuration) -> Table {
    Table::try_from(configuration).expect("a configuration is made of tables, lists and plain values")
}

fn of_table(within: &str, own: &Table, default: &Table, lines: &mut Vec<String>) {
    for (key, value) in own {
        let name = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        match (value, default.get(key)) {
            (own, Some(default)) if own == default => {}
            (Value::Table(own), Some(Value::Table(default))) => of_table(&name, own, default, lines),
            (Value::Array(own), _) if own.iter().all(Value::is_table) => {
                lines.extend(own.iter().map(|element| format!("[[{name}]] {element}")));
            }
            (own, Some(default)) => lines.push(format!("{name} = {own} (default {default})")),
            (own, None) => lines.push(format!("{name} = {own} (default: none)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let own = read(
            "\
[limits]
memory_mib = 128
queue_mib = 64
[listen]
feed = \"10.0.0.1:4319\"
[[tier]]
kind = \"lb\"
match = \"frontdoor\"
",
        )
        .unwrap();
        assert_eq!(
            differences(&own),
            [
                "limits.memory_mib = 128 (default 64)",
                "listen.feed = \"10.0.0.1:4319\" (default: none)",
                "[[tier]] { kind = \"lb\", match = \"frontdoor\" }",
            ]
        );
        assert_eq!(differences(&Configuration::default()), Vec::<String>::new());
    }
}
