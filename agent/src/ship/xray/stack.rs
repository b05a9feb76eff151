//! Stack traces as texts to frames, by the language of the SDK that recorded them.
//!
//! What a line does not show is left out; of a language that is not known each line is a frame's label.

use serde::Serialize;

/// Frames that are told of one exception.
const MOST_FRAMES: usize = 50;
/// Longest label or path, in bytes.
const TEXT_BYTES: usize = 300;

/// One frame.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Frame {
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    label: String,
}

impl Frame {
    fn new(label: &str, path: &str, line: Option<u32>) -> Self {
        let cut = |text: &str| tiertop_core::text::cut(text.trim(), TEXT_BYTES).to_owned();
        Self { path: cut(path), line, label: cut(label) }
    }
}

/// The frames of a stack trace, the innermost first, and how many more there were.
pub(super) fn frames(language: &str, text: &str) -> (Vec<Frame>, usize) {
    let mut frames: Vec<Frame> = match language {
        "python" => python(text),
        "java" => text.lines().filter_map(java).collect(),
        "nodejs" | "webjs" | "javascript" => text.lines().filter_map(node).collect(),
        "dotnet" => text.lines().filter_map(dotnet).collect(),
        "go" => go(text),
        _ => Vec::new(),
    };
    if frames.is_empty() {
        frames = text.lines().filter(|line| !line.trim().is_empty()).map(|line| Frame::new(line, "", None)).collect();
    }
    let more = frames.len().saturating_sub(MOST_FRAMES);
    frames.truncate(MOST_FRAMES);
    (frames, more)
}

/// `  File "app.py", line 12, in handle`, the outermost first.
fn python(text: &str) -> Vec<Frame> {
    let frame = |line: &str| {
        let rest = line.trim().strip_prefix("File \"")?;
        let (path, rest) = rest.split_once("\", line ")?;
        let (number, label) = rest.split_once(", in ").unwrap_or((rest, ""));
        Some(Frame::new(label, path, number.trim().parse().ok()))
    };
    let mut frames: Vec<Frame> = text.lines().filter_map(frame).collect();
    frames.reverse();
    frames
}

/// `at org.example.App.handle(App.java:12)`.
fn java(line: &str) -> Option<Frame> {
    let rest = line.trim().strip_prefix("at ")?;
    let (label, place) = rest.strip_suffix(')')?.rsplit_once('(')?;
    let (path, number) = place.rsplit_once(':').unwrap_or((place, ""));
    Some(Frame::new(label, path, number.parse().ok()))
}

/// `    at handle (/srv/app.js:12:5)` or `    at /srv/app.js:12:5`.
fn node(line: &str) -> Option<Frame> {
    let rest = line.trim().strip_prefix("at ")?;
    let (label, place) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
        Some(parts) => parts,
        None => ("", rest),
    };
    let (before, _column) = place.rsplit_once(':').unwrap_or((place, ""));
    let (path, number) = before.rsplit_once(':').unwrap_or((place, ""));
    Some(Frame::new(label, path, number.parse().ok()))
}

/// `   at App.Handle(String id) in /srv/App.cs:line 12`.
fn dotnet(line: &str) -> Option<Frame> {
    let rest = line.trim().strip_prefix("at ")?;
    let (label, place) = rest.rsplit_once(" in ").unwrap_or((rest, ""));
    let (path, number) = place.rsplit_once(":line ").unwrap_or((place, ""));
    Some(Frame::new(label, path, number.trim().parse().ok()))
}

/// `main.handle(0x1)` and below it, after a tab, `/srv/main.go:12 +0x1d`.
fn go(text: &str) -> Vec<Frame> {
    let lines: Vec<&str> = text.lines().collect();
    let frame = |pair: &[&str]| {
        let place = pair[1].strip_prefix('\t')?;
        let place = place.split(" +0x").next()?;
        let (path, number) = place.rsplit_once(':')?;
        let label = pair[0].rsplit_once('(').map_or(pair[0], |(label, _)| label);
        Some(Frame::new(label, path, number.parse().ok()))
    };
    lines.windows(2).filter_map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(language: &str, text: &str) -> (String, String, Option<u32>) {
        let (mut frames, more) = frames(language, text);
        assert_eq!((frames.len(), more), (1, 0), "{frames:?}");
        let Frame { path, line, label } = frames.remove(0);
        (label, path, line)
    }

    fn frame(label: &str, path: &str) -> (String, String, Option<u32>) {
        (label.to_owned(), path.to_owned(), Some(12))
    }

    #[test]
    fn frames_are_read_from_the_stack_traces_of_each_language() {
        let python =
            "Traceback (most recent call last):\n  File \"app.py\", line 12, in handle\n    fail()\nValueError: x";
        assert_eq!(only("python", python), frame("handle", "app.py"));
        let java = "java.lang.Exception: x\n\tat org.example.App.handle(App.java:12)\nCaused by: y";
        assert_eq!(only("java", java), frame("org.example.App.handle", "App.java"));
        assert_eq!(only("nodejs", "Error: x\n    at handle (/srv/app.js:12:5)"), frame("handle", "/srv/app.js"));
        assert_eq!(only("nodejs", "Error: x\n    at /srv/app.js:12:5"), frame("", "/srv/app.js"));
        let dotnet = "System.Exception: x\n   at App.Handle(String id) in /srv/App.cs:line 12";
        assert_eq!(only("dotnet", dotnet), frame("App.Handle(String id)", "/srv/App.cs"));
        let go = "goroutine 1 [running]:\nmain.handle(0x1)\n\t/srv/main.go:12 +0x1d";
        assert_eq!(only("go", go), frame("main.handle", "/srv/main.go"));
    }

    #[test]
    fn of_an_unknown_language_each_line_is_a_frame_and_the_number_is_bounded() {
        assert_eq!(only("rust", "  main::handle\n\n"), ("main::handle".to_owned(), String::new(), None));
        let (frames, more) = frames("java", &"\tat a.b(C.java:1)\n".repeat(80));
        assert_eq!((frames.len(), more), (MOST_FRAMES, 30));
    }
}
