//! The last row: the keys that matter here, from the table of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::app::App;
use crate::keymap::{self, Command};
use crate::theme::Theme;
use crate::widget::paint;

/// Draws as many keys as there is room for; help first and quit before all others.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut shown: Vec<(String, &str, Command)> = keymap::bindings(app.context())
        .filter(|binding| app.can(binding.command))
        .filter_map(|binding| {
            let key = binding.keys.first()?.name();
            Some((key, binding.footer?, binding.command))
        })
        .collect();
    let width = |shown: &[(String, &str, Command)]| -> usize {
        let texts = shown.iter().map(|(key, word, _)| key.chars().count() + word.len() + 3);
        texts.sum()
    };
    while width(&shown) > usize::from(area.width) && shown.len() > 2 {
        // The last before "quit" goes first.
        shown.remove(shown.len() - 2);
    }
    let mut line = Line::default();
    for (key, word, _) in shown {
        line.push_span(Span::raw(" "));
        line.push_span(Span::styled(key, theme.accent));
        line.push_span(Span::styled(format!(" {word} "), theme.dim));
    }
    paint::line(buffer, area, 0, &line);
}
