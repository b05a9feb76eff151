//! Colours by meaning. What a colour says is always said by a sign or a word too.
//!
//! The terminal's own background is kept. Which palette, first match wins:
//! 1. `--theme`;
//! 2. `NO_COLOR` set and not empty, or `TERM=dumb`: none, that is bold, underlined and reversed only;
//! 3. `COLORTERM` of `truecolor` or `24bit`, or a `TERM` with `256color` or `direct`: the wide
//!    palette, dark or light by `COLORFGBG`;
//! 4. otherwise the sixteen colours.

use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};

/// A set of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// 256 colours on a dark background.
    Dark,
    /// 256 colours on a light background.
    Light,
    /// 16 colours, readable on either background.
    Sixteen,
    /// No colour at all.
    None,
}

impl Palette {
    /// The palettes by the names that `--theme` takes.
    pub const NAMES: [(&'static str, Self); 4] =
        [("dark", Self::Dark), ("light", Self::Light), ("16", Self::Sixteen), ("none", Self::None)];

    /// The palette for an environment, where `variable` looks one up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is = |name: &str, test: fn(&str) -> bool| variable(name).is_some_and(|v| test(&v));
        if is("NO_COLOR", |v| !v.is_empty()) || is("TERM", |v| v == "dumb") {
            return Self::None;
        }
        let wide = is("COLORTERM", |v| v == "truecolor" || v == "24bit")
            || is("TERM", |v| v.contains("256color") || v.contains("direct"));
        if !wide {
            return Self::Sixteen;
        }
        // COLORFGBG is "foreground;background", both numbers of the sixteen: 7 and 15 are whites.
        if is("COLORFGBG", |v| v.ends_with(";15") || v.ends_with(";7")) { Self::Light } else { Self::Dark }
    }
}

impl FromStr for Palette {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::NAMES
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, palette)| palette)
            .ok_or_else(|| format!("no theme \"{name}\": there are dark, light, 16 and none"))
    }
}

/// How each meaning looks.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Ordinary text.
    pub text: Style,
    /// What matters less: labels, units, what is over.
    pub dim: Style,
    /// Critical: users feel it.
    pub bad: Style,
    /// Look at it.
    pub warn: Style,
    /// As it should be.
    pub good: Style,
    /// Names and keys that lead the eye.
    pub accent: Style,
    /// Headings.
    pub title: Style,
    /// The row under the cursor, patched over what it holds.
    pub selected: Style,
    /// Lines of boxes.
    pub border: Style,
}

impl Theme {
    /// The look of a palette.
    pub fn new(palette: Palette) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        let wide = |bad: u8, warn: u8, good: u8, accent: u8, dim: u8, under: u8| Self {
            text: plain,
            dim: plain.fg(Color::Indexed(dim)),
            bad: bold.fg(Color::Indexed(bad)),
            warn: bold.fg(Color::Indexed(warn)),
            good: plain.fg(Color::Indexed(good)),
            accent: plain.fg(Color::Indexed(accent)),
            title: bold,
            selected: plain.bg(Color::Indexed(under)),
            border: plain.fg(Color::Indexed(dim)),
        };
        match palette {
            Palette::Dark => wide(203, 214, 114, 80, 246, 238),
            Palette::Light => wide(160, 130, 28, 25, 241, 253),
            // No yellow and no grey: one is lost on white, the other on many a dark scheme.
            Palette::Sixteen => Self {
                text: plain,
                dim: plain.add_modifier(Modifier::DIM),
                bad: bold.fg(Color::Red),
                warn: bold.fg(Color::Magenta),
                good: plain.fg(Color::Green),
                accent: plain.fg(Color::Cyan),
                title: bold,
                selected: reversed,
                border: plain.add_modifier(Modifier::DIM),
            },
            Palette::None => Self {
                text: plain,
                dim: plain,
                bad: bold.add_modifier(Modifier::UNDERLINED),
                warn: bold,
                good: plain,
                accent: bold,
                title: bold,
                selected: reversed,
                border: plain,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn palette(variables: &[(&str, &str)]) -> Palette {
        Palette::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_chooses() {
        let wide = ("TERM", "xterm-256color");
        assert_eq!(palette(&[wide]), Palette::Dark);
        assert_eq!(palette(&[wide, ("COLORFGBG", "0;15")]), Palette::Light);
        assert_eq!(palette(&[wide, ("NO_COLOR", "1")]), Palette::None);
        assert_eq!(palette(&[wide, ("NO_COLOR", "")]), Palette::Dark);
        assert_eq!(palette(&[("TERM", "dumb")]), Palette::None);
        assert_eq!(palette(&[("TERM", "linux")]), Palette::Sixteen);
        assert_eq!(palette(&[("COLORTERM", "truecolor")]), Palette::Dark);
        assert_eq!(palette(&[]), Palette::Sixteen);
    }

    #[test]
    fn names_are_those_of_the_flag() {
        assert_eq!("16".parse(), Ok(Palette::Sixteen));
        assert!("pink".parse::<Palette>().unwrap_err().contains("light"));
    }
}
