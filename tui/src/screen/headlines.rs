//! The three headline figures: cache hit rate, replica lag, queue depth with the oldest message.
//!
//! ```text
//!  cache hit rate   ~91.2%    replica lag    ▲ 8.4 s    queue      124, 2.1 s old
//!  redis         ▇▇▇▇▇▆▇▇▇    orders-ro  ▁▁▁▂▃▄▅▆▇█    content       ▁▁▁▁▂▂▂▁▁▁▁
//! ```
//! Where several tiers have the same figure, the worst one shows, and how many more there are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use tiertop_core::snapshot::{SignalKind, SignalView, Snapshot};

use crate::format;
use crate::screen::{banner, words};
use crate::theme::Theme;
use crate::widget::paint;
use crate::widget::trend::{Trend, Worst};

/// Below this many columns the three stand under each other, where there are three rows.
pub const STACKED_BELOW: u16 = 72;

/// Seconds after which a figure is said to be old.
const OLD_AFTER_SECONDS: f64 = 90.0;

/// One headline figure, ready to draw.
struct Headline<'a> {
    title: &'static str,
    short: &'static str,
    value: String,
    /// The value where columns are few.
    brief: String,
    style: Style,
    /// Where it comes from, or what to switch on.
    detail: Vec<String>,
    trend: &'a [Option<f32>],
    ends_unix_s: u64,
    top: Option<f32>,
    worst: Worst,
}

/// Draws the three beside each other: one, two or more rows each, in boxes from five rows on.
pub fn draw(shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let headlines = headlines(shown, theme);
    if area.width < STACKED_BELOW && area.height == 3 {
        for (row, headline) in (0..).zip(&headlines) {
            headline.row(theme, area, row, buffer);
        }
        return;
    }
    let places: [Rect; 3] = paint::columns(area);
    for (headline, place) in headlines.iter().zip(places) {
        if area.height >= 5 {
            let title = Line::from(Span::styled(format!(" {} ", headline.title), theme.title));
            let inside = paint::boxed(buffer, place, title, None, theme.border);
            headline.chart(theme, inside, buffer);
        } else {
            headline.rows(theme, place, buffer);
        }
    }
}

impl Headline<'_> {
    /// Title and value in one row, detail and trend in a second.
    fn rows(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let room = usize::from(area.width);
        let fits = |title: &str, value: &str| format::width(title) + format::width(value) + 3 <= room;
        let (title, value) = match (self.title, self.short, &self.value, &self.brief) {
            (title, _, value, _) if fits(title, value) => (title, value),
            (_, short, value, _) if fits(short, value) => (short, value),
            (_, short, _, brief) => (short, brief),
        };
        let value = Line::styled(format!("{value} "), self.style);
        let left = Line::styled(format!(" {title}"), theme.dim);
        paint::ends(buffer, area, 0, &left, &value);
        if area.height < 2 {
            return;
        }
        let known = self.trend.iter().flatten().count() > 0;
        let blocks = if known { room.saturating_sub(3).min(12) } else { 0 };
        let detail = self.detail(room.saturating_sub(blocks + 3));
        let blocks = Line::styled(format!("{} ", self.text(blocks)), theme.text);
        let detail = Line::styled(format!(" {detail}"), theme.dim);
        paint::ends(buffer, area, 1, &detail, &blocks);
    }

    /// Everything in one row of a narrow window.
    fn row(&self, theme: &Theme, area: Rect, row: u16, buffer: &mut Buffer) {
        let title = format::fit(self.title, 14, format::Align::Left);
        let value = format::fit(&self.brief, 18, format::Align::Left);
        let left = Line::from(vec![Span::styled(format!(" {title} "), theme.dim), Span::styled(value, self.style)]);
        let blocks = usize::from(area.width).saturating_sub(left.width() + 2).min(12);
        let blocks = Line::styled(format!("{} ", self.text(blocks)), theme.text);
        paint::line(buffer, area, row, &left);
        if blocks.width() > 4 {
            paint::ends(buffer, area, row, &left, &blocks);
        }
    }

    /// Value and detail in one row, a chart below.
    fn chart(&self, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
        let top = paint::take_top(&mut area, 1);
        let value = format!(" {} ", self.value);
        let room = usize::from(area.width).saturating_sub(format::width(&value) + 1);
        let known = self.trend.iter().flatten().count() > 0;
        let lines = format::wrap(&self.detail.join(" "), usize::from(area.width).saturating_sub(2));
        let detail = if known { self.detail(room) } else { String::new() };
        let detail = Line::styled(format!("{detail} "), theme.dim);
        paint::ends(buffer, top, 0, &Line::styled(value, self.style), &detail);
        if !known {
            for (row, text) in (0..).zip(&lines) {
                paint::line(buffer, area, row, &Line::styled(format!(" {text}"), theme.dim));
            }
            return;
        }
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        self.trend(theme.accent).render(inner.intersection(area), buffer);
    }

    /// As much of the detail as there is room for; a piece is cut only where enough of it stays.
    fn detail(&self, room: usize) -> String {
        let mut text = String::new();
        for piece in &self.detail {
            let gap = if text.is_empty() { "" } else { " · " };
            let left = room.saturating_sub(format::width(&text) + gap.len().min(3));
            if format::width(piece) > left && left < 6 && !text.is_empty() {
                break;
            }
            text.push_str(gap);
            text.push_str(&format::cut(piece, left));
        }
        text
    }

    fn trend(&self, style: Style) -> Trend<'_> {
        Trend { values: self.trend, ends_unix_s: self.ends_unix_s, top: self.top, worst: self.worst, style }
    }

    fn text(&self, columns: usize) -> String {
        self.trend(Style::new()).text(columns)
    }
}

fn headlines<'a>(shown: &'a Snapshot, theme: &Theme) -> [Headline<'a>; 3] {
    let lowest = |a: f64, b: f64| a < b;
    let highest = |a: f64, b: f64| a > b;
    let mut cache = headline(shown, SignalKind::CacheHitRatio, lowest, &["hit", "cache"], theme);
    cache.top = Some(1.0);
    let lag = headline(shown, SignalKind::ReplicaLagSeconds, highest, &["lag"], theme);
    let about_queues = ["queue", "depth", "age", "backlog", "worker"];
    let mut queue = headline(shown, SignalKind::QueueDepth, highest, &about_queues, theme);
    let depth_tier = worst(shown, SignalKind::QueueDepth, highest).map(|signal| &signal.tier);
    let oldest = shown.signals.iter().find(|signal| {
        signal.kind == SignalKind::QueueOldestAgeSeconds && Some(&signal.tier) == depth_tier && signal.value.is_some()
    });
    let oldest = oldest.or_else(|| worst(shown, SignalKind::QueueOldestAgeSeconds, highest));
    if let Some((signal, age)) = oldest.and_then(|signal| Some((signal, signal.value?))) {
        let mark = if signal.inferred { "~" } else { "" };
        let age = format::seconds(age);
        queue.brief = format!("{}, {mark}{age} old", queue.value);
        queue.value = format!("{}, oldest {mark}{age}", queue.value);
    }
    [cache, lag, queue]
}

/// Which end of a signal is bad.
pub fn worst_end(kind: SignalKind) -> Worst {
    match kind {
        SignalKind::CacheHitRatio => Worst::Least,
        _ => Worst::Greatest,
    }
}

/// The signal of a kind that is worst, an unknown one only where there is no other.
fn worst(shown: &Snapshot, kind: SignalKind, worse: impl Fn(f64, f64) -> bool) -> Option<&SignalView> {
    let of_kind = || shown.signals.iter().filter(|signal| signal.kind == kind);
    let known = of_kind().filter(|signal| signal.value.is_some());
    known
        .reduce(|a, b| {
            let replace = a.value.zip(b.value).is_some_and(|(a, b)| worse(b, a));
            if replace { b } else { a }
        })
        .or_else(|| of_kind().next())
}

fn headline<'a>(
    shown: &'a Snapshot,
    kind: SignalKind,
    worse: impl Fn(f64, f64) -> bool,
    about: &[&'static str],
    theme: &Theme,
) -> Headline<'a> {
    let mut headline = Headline {
        title: format::signal_name(kind),
        short: about.first().copied().unwrap_or_default(),
        value: format!("{} unknown", format::UNKNOWN),
        brief: format!("{} unknown", format::UNKNOWN),
        style: theme.dim,
        detail: vec!["nothing says it".to_owned()],
        trend: &[],
        ends_unix_s: shown.at_unix_ms / 1000,
        top: None,
        worst: worst_end(kind),
    };
    let Some(signal) = worst(shown, kind, worse) else {
        return headline;
    };
    let Some(value) = signal.value else {
        if let Some(hint) = &signal.hint {
            headline.detail = vec![hint.clone()];
        }
        return headline;
    };
    let (sign, style) = banner::mark(banner::about(shown, &signal.tier, about), theme);
    let inferred = if signal.inferred { "~" } else { "" };
    let gap = if sign.is_empty() { "" } else { " " };
    headline.value = format!("{sign}{gap}{inferred}{}", format::signal_value(kind, value));
    headline.brief.clone_from(&headline.value);
    headline.style = style;
    headline.trend = &signal.trend;
    headline.detail = detail(shown, signal);
    headline
}

/// How fast it changes, whose figure it is, how old it is, and how many more there are.
fn detail(shown: &Snapshot, signal: &SignalView) -> Vec<String> {
    let tier = words::tier_name(&signal.tier);
    // The kind goes without saying here.
    let member = tier.split_once(' ').map_or(tier.as_str(), |(_, member)| member);
    let slope = signal.slope_per_second.and_then(|slope| format::signal_slope(signal.kind, slope));
    let mut pieces: Vec<String> = slope.into_iter().collect();
    if let Some(age) = signal.age_s.filter(|age| *age > OLD_AFTER_SECONDS) {
        pieces.push(format!("{} ago", format::seconds(age)));
    }
    pieces.push(member.to_owned());
    let others = shown.signals.iter().filter(|other| other.kind == signal.kind && other.value.is_some()).count() - 1;
    if others > 0 {
        pieces.push(format!("and {others} more"));
    }
    pieces
}
