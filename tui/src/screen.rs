//! The screens: each is a function from what the application knows to a picture.
//!
//! ```text
//! header       one row, always
//! status       one row, only while there is something to say: paused, connecting, a note
//! body         overview, tier, diagnosis, traces, one trace, pipeline, or waiting; the help lies over it
//! footer       one row of keys, given up below seven rows
//! ```

pub mod banner;
pub mod capacity;
pub mod diagnosis;
pub mod edges;
pub mod finding;
pub mod footer;
pub mod header;
pub mod headlines;
pub mod help;
pub mod ladder;
pub mod overview;
pub mod pipeline;
pub mod tier;
pub mod tier_panes;
pub mod tier_table;
pub mod trace;
pub mod traces;
pub mod waiting;
pub mod words;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Screen};
use crate::ascii;
use crate::keymap::Context;
use crate::theme::{Palette, Theme};
use crate::widget::paint;

/// From this many columns on there are boxes and the long form of everything.
pub const WIDE_COLUMNS: u16 = 120;

/// From this many rows on there are boxes.
pub const TALL_ROWS: u16 = 30;

/// Which signs the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// All of them.
    Unicode,
    /// ASCII alone.
    Ascii,
}

impl Signs {
    /// The signs for a locale, where `variable` looks up an environment variable.
    ///
    /// The first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set and not empty decides.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(|name| variable(name))
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }
}

/// How everything is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours by meaning.
    pub theme: Theme,
    /// Signs.
    pub signs: Signs,
}

impl Look {
    /// The look for a palette and signs.
    pub fn new(palette: Palette, signs: Signs) -> Self {
        Self { theme: Theme::new(palette), signs }
    }
}

/// Draws everything.
pub fn draw(app: &App, look: &Look, area: Rect, buffer: &mut Buffer) {
    let theme = &look.theme;
    let mut body = area;
    header::draw(app, theme, paint::take_top(&mut body, 1), buffer);
    if let Some(status) = header::status_line(app, theme) {
        let room = paint::take_top(&mut body, 1);
        paint::line(buffer, room, 0, &status);
    }
    if area.height >= 7 {
        footer::draw(app, theme, paint::take_bottom(&mut body, 1), buffer);
    }
    match (app.context(), app.shown(), app.help, app.screen) {
        (Context::Help, _, Some(first), _) => help::draw(first, theme, body, buffer),
        (Context::Waiting, ..) | (_, None, ..) => waiting::draw(app, theme, body, buffer),
        (_, Some(shown), _, Screen::Overview) => {
            overview::draw(app, shown, theme, body, buffer);
        }
        (_, Some(shown), _, Screen::Tier) => tier::draw(app, shown, theme, body, buffer),
        (_, Some(shown), _, Screen::Diagnosis) => diagnosis::draw(app, shown, theme, body, buffer),
        (_, Some(shown), _, Screen::Traces) => traces::draw(app, shown, theme, body, buffer),
        (_, Some(_), _, Screen::Trace) => trace::draw(app, theme, body, buffer),
        (_, Some(shown), _, Screen::Pipeline) => pipeline::draw(app, shown, theme, body, buffer),
    }
    if look.signs == Signs::Ascii {
        ascii::fold_buffer(buffer);
    }
}

#[cfg(test)]
mod tests;
