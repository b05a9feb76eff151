//! Rules about the structure of the workspace, and about documents that must keep up with the code.
//!
//! Each rule reads the files as text. Comments do not count: they may name what code may not.
#![expect(clippy::disallowed_methods, reason = "these tests read the workspace's files; the engine does not")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tiertop_core::capacity::CHECKS;
use tiertop_core::catalogue::CATALOGUE;
use tiertop_core::diagnosis::CLASSES;
use tiertop_core::warning::RULES;

/// Lines of code that a file may have. Past that there is a second story in it.
const LONGEST_FILE: usize = 450;

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A source file: its path from the workspace's folder, and its text.
struct Source {
    path: String,
    text: String,
}

/// All Rust files under a folder of the workspace, but for generated ones.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                if !path.ends_with("generated") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(root()).expect("a path in the workspace").to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file under {folder}");
    found
}

impl Source {
    /// Its lines of code, with their numbers: no comments, no blank lines.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
    }

    /// Its lines of code before its tests.
    fn length(&self) -> usize {
        self.code().take_while(|(_, line)| !line.starts_with("mod tests {")).count()
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }
}

/// The places where code uses one of some words.
fn uses(sources: &[Source], words: &[&str]) -> Vec<String> {
    let used = |line: &str| words.iter().any(|word| contains_word(line, word));
    let of_source = |source: &Source| -> Vec<String> {
        source.code().filter(|(_, line)| used(line)).map(|(at, line)| format!("{}:{at}: {line}", source.path)).collect()
    };
    sources.iter().flat_map(of_source).collect()
}

/// Whether a word stands in a line by itself, not as a part of a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_part)
            && !line[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// The names in a section of a manifest.
fn names_in(manifest: &str, section: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let lines = text.lines().skip_while(|line| *line != format!("[{section}]")).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn the_core_depends_on_little() {
    let allowed: BTreeSet<String> = ["foldhash", "hashbrown", "serde"].map(str::to_owned).into();
    let names = names_in("agent/core/Cargo.toml", "dependencies");
    let more: Vec<_> = names.difference(&allowed).collect();
    assert!(more.is_empty(), "the core needs no {more:?}: the agent is the place for what does");
}

#[test]
fn the_core_has_no_clock_no_socket_and_no_thread() {
    let words = ["SystemTime", "Instant", "std::net", "std::fs", "std::env", "std::thread", "tokio", "async"];
    assert_none(&uses(&sources("agent/core/src"), &words), "the engine's time and input are arguments");
}

#[test]
fn dependencies_point_one_way() {
    for (manifest, allowed) in [
        ("agent/core/Cargo.toml", &[][..]),
        ("demo-app/Cargo.toml", &[]),
        ("agent/Cargo.toml", &["tiertop-core"]),
        ("tui/Cargo.toml", &["tiertop-core", "tiertop-agent", "tiertop-demo"]),
    ] {
        for section in ["dependencies", "dev-dependencies"] {
            let ours = names_in(manifest, section).into_iter().filter(|name| name.starts_with("tiertop-"));
            let wrong: Vec<String> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
            assert_none(&wrong, manifest);
        }
    }
}

#[test]
fn the_demo_meets_the_agent_over_otlp_alone() {
    let mut sources = sources("demo-app/src");
    sources.extend(self::sources("demo-app/tests"));
    assert_none(&uses(&sources, &["tiertop_core", "tiertop_agent"]), "the classifier is not tested against itself");
}

#[test]
fn screens_know_snapshots_and_nothing_of_where_they_come_from() {
    let may_know = ["tui/src/main.rs", "tui/src/commands.rs", "tui/src/fixture_command.rs"];
    let mut screens = sources("tui/src");
    screens.retain(|source| !may_know.contains(&&*source.path) && !source.path.starts_with("tui/src/commands/"));
    assert_none(&uses(&screens, &["tiertop_agent", "tiertop_demo"]), "only the commands name the agent and the demo");
}

#[test]
fn the_agent_knows_no_terminal() {
    let words = ["ratatui", "crossterm", "tiertop_demo"];
    assert_none(&uses(&sources("agent/src"), &words), "what is shown, and where, is not the agent's business");
}

#[test]
fn files_tell_one_story() {
    for folder in ["agent", "demo-app", "tui"] {
        for source in sources(folder) {
            assert!(source.text.starts_with("//!"), "{} does not say what it is about", source.path);
            assert!(!source.path.ends_with("/mod.rs"), "{} is to be a file beside its folder", source.path);
            let length = source.length();
            assert!(source.is_test() || length <= LONGEST_FILE, "{} has {length} lines of code", source.path);
        }
    }
}

#[test]
fn every_rule_has_a_scenario() {
    let scenarios = read("agent/core/src/warning/tests.rs");
    for rule in RULES {
        assert!(scenarios.contains(rule.name), "no scenario speaks of {}", rule.name);
    }
    let live = read("agent/core/src/diagnosis/live/tests.rs");
    let scenarios = read("agent/core/src/diagnosis/tests.rs") + &live;
    for class in CLASSES {
        assert!(scenarios.contains(&format!("\"{}\"", class.name)), "no scenario speaks of {}", class.name);
    }
    let scenarios = read("agent/core/src/capacity/tests.rs");
    for check in CHECKS {
        assert!(scenarios.contains(&format!("\"{}\"", check.question)), "no scenario asks: {}", check.question);
    }
}

#[test]
fn the_readme_names_every_metric_that_is_read() {
    let readme = read("README.md");
    for row in CATALOGUE {
        let name = row.name.strip_prefix("amazonaws.com/AWS/").unwrap_or(row.name);
        assert!(readme.contains(&format!("`{name}`")), "README.md lacks {name}");
    }
}

#[test]
fn the_readme_names_every_warning() {
    let readme = read("README.md");
    for rule in RULES {
        assert!(readme.contains(&format!("`{}`", rule.name)), "README.md lacks {}", rule.name);
    }
}

#[test]
fn the_dashboards_readme_names_every_metric_of_the_agent() {
    let readme = read("dashboards/README.md");
    let page = read("agent/tests/fixtures/admin/metrics.txt");
    let emitted: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(!emitted.is_empty());
    for name in &emitted {
        assert!(readme.contains(&format!("`{name}`")), "dashboards/README.md lacks {name}");
    }
    let listed = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let gone: Vec<&str> = listed.filter(|name| name.starts_with("tiertop_") && !emitted.contains(name)).collect();
    assert!(gone.is_empty(), "the agent emits no {gone:?}");
}
