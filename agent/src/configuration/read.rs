//! Reading the file's text, and telling all that is wrong with it at once.
//!
//! A reader of TOML stops at the first thing that it cannot take. So that is told, taken out, and the rest is
//! read again, until nothing is left to tell.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::Configuration;
use super::problem::Problem;

/// Problems that are told; who has read so many looks again anyway.
const MOST_PROBLEMS: usize = 20;

/// Reads the text of a file, or says all that is wrong with it, in the order of the text.
pub fn read(text: &str) -> Result<Configuration, Vec<Problem>> {
    understand(text).map_err(|mut problems| {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    })
}

fn understand(text: &str) -> Result<Configuration, Vec<Problem>> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
        let tell = |error: &toml::de::Error| Problem::new(text, &place(error), String::new(), error.message());
        return Err(errors.iter().take(MOST_PROBLEMS).map(tell).collect());
    }
    let mut problems = Vec::new();
    let mut taken_out: Vec<Entry> = Vec::new();
    loop {
        let error = match Configuration::deserialize(Deserializer::from(table.clone())) {
            Ok(configuration) if problems.is_empty() => return Ok(configuration),
            Ok(_) => return Err(problems),
            Err(error) => error,
        };
        let place = error.span().unwrap_or(0..0);
        let entry = entry_at(table.get_ref(), &place);
        // What is wrong as a whole may be so because of what was told of and taken out.
        let is_told =
            entry.as_ref().is_some_and(|entry| taken_out.iter().any(|before| before.within.contains(&entry.places[1])));
        if !is_told {
            let key = entry.as_ref().map(Entry::key).unwrap_or_default();
            problems.push(Problem::new(text, &place, key, error.message()));
        }
        let Some(entry) = entry.filter(|_| problems.len() < MOST_PROBLEMS) else { return Err(problems) };
        take_out(table.get_mut(), &entry.path);
        taken_out.push(entry);
    }
}

/// A step from a table or a list to what is in it.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Element(usize),
}

/// Something in the file: a key with its value, or an element of a list.
struct Entry {
    path: Vec<Step>,
    /// Where it is written; of a table only its heading, of a key with a value both.
    places: [Range<usize>; 2],
    /// Where the values that it is in are written.
    within: Vec<Range<usize>>,
}

impl Entry {
    /// The key, with those that it is in; elements have none.
    fn key(&self) -> String {
        let names = self.path.iter().filter_map(|step| match step {
            Step::Key(name) => Some(name.as_str()),
            Step::Element(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    }
}

/// The smallest entry that a place in the text is in.
fn entry_at(table: &DeTable<'_>, place: &Range<usize>) -> Option<Entry> {
    let mut all = Vec::new();
    entries_of_table(table, (&[], &[]), &mut all);
    let holds = |span: &&Range<usize>| span.start <= place.start && place.end <= span.end && !span.is_empty();
    let size = |entry: &Entry| entry.places.iter().filter(holds).map(ExactSizeIterator::len).min();
    // Of equals the last: it is the deepest.
    all.into_iter().rev().filter(|entry| size(entry).is_some()).min_by_key(|entry| size(entry))
}

fn entries_of_table(table: &DeTable<'_>, of: (&[Step], &[Range<usize>]), all: &mut Vec<Entry>) {
    for (key, value) in table {
        let path = [of.0, &[Step::Key(key.get_ref().to_string())]].concat();
        all.push(Entry { path: path.clone(), places: [key.span(), value.span()], within: of.1.to_vec() });
        entries_of_value(value, (&path, of.1), all);
    }
}

fn entries_of_value(value: &Spanned<DeValue<'_>>, of: (&[Step], &[Range<usize>]), all: &mut Vec<Entry>) {
    let (path, within) = (of.0, [of.1, &[value.span()]].concat());
    match value.get_ref() {
        DeValue::Table(table) => entries_of_table(table, (path, &within), all),
        DeValue::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                let path = [path, &[Step::Element(at)]].concat();
                let places = [element.span(), element.span()];
                all.push(Entry { path: path.clone(), places, within: within.clone() });
                entries_of_value(element, (&path, &within), all);
            }
        }
        _ => {}
    }
}

fn take_out(table: &mut DeTable<'_>, path: &[Step]) {
    let Some((Step::Key(name), rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.remove(name.as_str());
    } else if let Some(value) = table.get_mut(name.as_str()) {
        take_out_of_value(value.get_mut(), rest);
    }
}

fn take_out_of_value(value: &mut DeValue<'_>, path: &[Step]) {
    match (value, path) {
        (DeValue::Table(table), path) => take_out(table, path),
        (DeValue::Array(elements), [Step::Element(at)]) => {
            let all = std::mem::replace(elements, DeArray::new());
            let others = all.into_iter().enumerate().filter(|(place, _)| place != at);
            *elements = others.map(|(_, element)| element).collect();
        }
        (DeValue::Array(elements), [Step::Element(at), rest @ ..]) => {
            if let Some(element) = elements.get_mut(*at) {
                take_out_of_value(element.get_mut(), rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a text, a line for each problem.
    fn said(text: &str) -> String {
        let problems = read(text).expect_err("a text that is wrong");
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place_and_the_nearest_name() {
        assert_eq!(
            said("[limits]\nmesage_mib = 4\n"),
            "2:1: limits.mesage_mib: there is no such key as `mesage_mib`; did you mean `message_mib`?"
        );
        assert!(
            said("[listne]\n").starts_with("1:2: listne: there is no such key as `listne`; did you mean `listen`?")
        );
        let far = said("[time]\nqqq = 1\n");
        assert!(far.contains("there are lateness_s, future_s, window_s, usual_s"), "{far}");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let text = "\
[listen]
otlp_grpc = \"localhost\"
fed = \"127.0.0.1:1\"

[limits]
message_mib = 0
memory_mib = \"much\"

[[tier]]
kind = \"balancer\"
match = \"frontdoor\"

[[tier]]
kind = \"lb\"
";
        let said = said(text);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 6, "{said}");
        assert!(lines.iter().any(|line| line.starts_with("2:13: listen.otlp_grpc: ")), "{said}");
        assert!(lines.contains(&"3:1: listen.fed: there is no such key as `fed`; did you mean `feed`?"), "{said}");
        assert!(lines.contains(&"6:15: limits.message_mib: 0 is not from 1 to 1024"), "{said}");
        assert!(lines.contains(&"7:14: limits.memory_mib: expected a whole number, found string \"much\""), "{said}");
        assert!(lines.iter().any(|line| line.starts_with("10:8: tier.kind: `balancer` is none")), "{said}");
        assert!(lines.iter().any(|line| line.starts_with("13:1: tier: it needs `match`")), "{said}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place() {
        let said = said("[listen\notlp_grpc = \n");
        assert!(said.starts_with("1:"), "{said}");
    }
}
