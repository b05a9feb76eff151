//! What shows before there is a tier: where to send, or whom one is calling.
//!
//! ```text
//!  Nothing has arrived yet.
//!
//!  listening on   grpc 127.0.0.1:4317
//!                 http 127.0.0.1:4318
//!
//!  Start your services with
//!
//!    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317
//!    ...
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{PipelineView, Snapshot};

use crate::app::{App, Status};
use crate::format;
use crate::screen::header::refused;
use crate::theme::Theme;
use crate::widget::paint;

/// Draws what there is to say while there is nothing to show.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = match (app.status(), app.shown()) {
        (Status::Connecting { address, attempt, error, .. }, None) => {
            connecting(&address, attempt, error, theme, area.width)
        }
        (Status::Ended(reason), _) => vec![
            (9, Line::styled(" ■ Nothing more will come.", theme.warn)),
            (8, Line::raw(format!(" {reason}"))),
            (7, Line::default()),
            (7, Line::raw(" q quits.")),
        ],
        (_, Some(shown)) => waiting(shown, theme),
        (_, None) => vec![
            (9, Line::styled(" Starting: no data yet.", theme.title)),
            (8, Line::styled(" The first second follows shortly.", theme.dim)),
        ],
    };
    show(lines, area, buffer);
}

/// Lines with their worth: where rows are few, the least worthy go.
type Worthy = Vec<(u8, Line<'static>)>;

fn show(mut lines: Worthy, area: Rect, buffer: &mut Buffer) {
    while lines.len() > usize::from(area.height) {
        let least = lines.iter().map(|(worth, _)| *worth).min().unwrap_or(0);
        let place = lines.iter().rposition(|(worth, _)| *worth == least);
        lines.remove(place.unwrap_or(0));
    }
    let spare = usize::from(area.height) - lines.len();
    let first = u16::from(spare > 2);
    for (row, (_, line)) in (first..).zip(&lines) {
        paint::line(buffer, area, row, line);
    }
}

fn connecting(address: &str, attempt: u32, error: Option<String>, theme: &Theme, columns: u16) -> Worthy {
    let why = error.unwrap_or_else(|| "no answer yet".to_owned());
    let mut lines = vec![(9, Line::styled(format!(" ○ Connecting to {address}"), theme.warn))];
    let told = format::wrap(&format!("try {attempt}: {why}"), usize::from(columns.saturating_sub(2)));
    lines.extend(told.into_iter().map(|line| (8, Line::raw(format!(" {line}")))));
    lines.extend([
        (3, Line::default()),
        (7, Line::raw(" It goes on trying. Is an agent running there?")),
        (3, Line::default()),
        (6, command("tiertop agent", "start one on this machine", theme)),
        (5, command("tiertop attach HOST:PORT", "an agent elsewhere", theme)),
        (4, command("tiertop demo", "a system to look at, nothing else needed", theme)),
    ]);
    lines
}

fn waiting(shown: &Snapshot, theme: &Theme) -> Worthy {
    let pipeline = &shown.pipeline;
    let arrived = arrived(pipeline);
    let mut lines = vec![match arrived {
        None => (9, Line::styled(" Nothing has arrived yet.", theme.title)),
        Some(_) => (9, Line::styled(" Something arrives, but no tier shows yet.", theme.title)),
    }];
    if let Some(what) = arrived {
        lines.push((9, Line::styled(format!(" {what}"), theme.warn)));
        for reason in pipeline.refusals.iter().take(3) {
            let text = format!(" refused {}: {}", format::count(reason.count), reason.reason);
            lines.push((6, Line::styled(text, theme.bad)));
        }
        lines.push((6, Line::styled(hint(pipeline), theme.dim)));
    }
    lines.push((2, Line::default()));
    if pipeline.listening.is_empty() {
        lines.push((8, Line::styled(" listening on nothing: every port was taken", theme.bad)));
    }
    for (place, address) in pipeline.listening.iter().enumerate() {
        let label = if place == 0 { " listening on   " } else { "                " };
        lines.push((8, Line::from(vec![Span::styled(label, theme.dim), Span::styled(address.clone(), theme.good)])));
    }
    lines.push((2, Line::default()));
    lines.push((5, Line::raw(" Paste this where your services start:")));
    lines.push((2, Line::default()));
    let (endpoint, protocol) = endpoint(&pipeline.listening);
    for (worth, text) in [
        (7, format!("export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}")),
        (7, format!("export OTEL_EXPORTER_OTLP_PROTOCOL={protocol}")),
        (6, "export OTEL_TRACES_EXPORTER=otlp".to_owned()),
        (6, "export OTEL_METRICS_EXPORTER=otlp".to_owned()),
        (4, "export OTEL_BSP_SCHEDULE_DELAY=500      # spans after 0.5 s, not 5 s".to_owned()),
        (4, "export OTEL_METRIC_EXPORT_INTERVAL=5000 # metrics each 5 s, not 60 s".to_owned()),
    ] {
        lines.push((worth, Line::styled(format!("   {text}"), theme.accent)));
    }
    lines.push((2, Line::default()));
    let python = " Python:  pip install opentelemetry-distro opentelemetry-exporter-otlp";
    lines.push((3, Line::styled(python, theme.dim)));
    let run = "          opentelemetry-bootstrap -a install && opentelemetry-instrument python";
    lines.push((3, Line::styled(run, theme.dim)));
    lines.push((1, Line::default()));
    lines.push((6, command("tiertop demo", "or try this: a whole system to look at", theme)));
    lines
}

/// What did arrive, in words, if anything did.
fn arrived(pipeline: &PipelineView) -> Option<String> {
    let pieces: Vec<String> = [
        (pipeline.spans_accepted, "spans"),
        (pipeline.points_accepted, "metric points"),
        (pipeline.logs_accepted, "log records"),
        (refused(pipeline), "refused"),
    ]
    .into_iter()
    .filter(|(many, _)| *many > 0)
    .map(|(many, what)| format!("{} {what}", format::count(many)))
    .collect();
    (!pieces.is_empty()).then(|| pieces.join(", "))
}

/// Why there may be no tier though something arrives.
fn hint(pipeline: &PipelineView) -> &'static str {
    match pipeline {
        p if p.spans_accepted == 0 && p.points_accepted > 0 => {
            " Metrics alone show few tiers: set OTEL_TRACES_EXPORTER=otlp too."
        }
        p if p.spans_accepted == 0 && p.logs_accepted > 0 => " Logs are only counted: set OTEL_TRACES_EXPORTER=otlp.",
        p if p.spans_late > 0 || p.spans_future > 0 => {
            " Spans come late or from the future: compare the clocks of the machines."
        }
        p if p.spans_accepted > 0 => " A tier shows once a few of its requests are complete.",
        _ => " What came could not be read: check the protocol, grpc is 4317, http is 4318.",
    }
}

/// The endpoint and the protocol to paste, from the first address that is listened on.
fn endpoint(listening: &[String]) -> (String, &'static str) {
    let grpc = listening.iter().find_map(|at| at.strip_prefix("grpc "));
    let http = listening.iter().find_map(|at| at.strip_prefix("http "));
    // Every address of the machine is listened on: from this machine, loopback reaches it.
    let reachable = |at: &str| at.replace("0.0.0.0", "127.0.0.1").replace("[::]", "127.0.0.1");
    match (grpc, http) {
        (Some(at), _) => (format!("http://{}", reachable(at)), "grpc"),
        (None, Some(at)) => (format!("http://{}", reachable(at)), "http/protobuf"),
        (None, None) => ("http://127.0.0.1:4317".to_owned(), "grpc"),
    }
}

fn command(command: &'static str, what: &'static str, theme: &Theme) -> Line<'static> {
    let command = format::fit(command, 25, format::Align::Left);
    Line::from(vec![Span::raw("   "), Span::styled(command, theme.accent), Span::styled(format!(" {what}"), theme.dim)])
}
