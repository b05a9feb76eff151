//! The same picture in plain ASCII, for terminals that do not speak UTF-8.
//!
//! Screens are drawn once, with the signs they like; a last pass over the finished buffer puts an
//! ASCII sign of the same width in the place of every other one. So no screen knows of it.

use ratatui::buffer::Buffer;

/// The ASCII sign for a sign that screens draw, one column for one column.
fn plain(sign: char) -> char {
    match sign {
        sign if sign.is_ascii() => sign,
        '▲' | '█' | '▉' | '▊' | '▋' => '#',
        '●' | '•' | '▇' => '*',
        '○' => 'o',
        '‖' | '▅' | '▌' | '▍' | '▎' | '▒' => '=',
        '■' | '×' => 'x',
        '—' | '─' | '━' | '–' | '·' | '┄' | '▄' => '-',
        '│' | '┃' | '▏' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '±' | '▆' => '+',
        '→' | '›' | '▸' => '>',
        '←' | '‹' => '<',
        '↑' => '^',
        '↓' => 'v',
        '≈' => 'c',
        '▓' => '%',
        '…' => '~',
        'µ' => 'u',
        '▁' => '_',
        '▂' | '░' => '.',
        '▃' => ':',
        '\u{a0}' => ' ',
        _ => '?',
    }
}

/// Puts ASCII in the place of every other sign in a finished picture.
pub fn fold_buffer(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let sign = cell.symbol().chars().next().map_or(' ', plain);
            cell.set_char(sign);
        }
    }
}

/// Puts ASCII in the place of every other sign in a text.
pub fn fold_text(text: &str) -> String {
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_becomes_one_ascii_sign() {
        let folded = fold_text("▲ p95 21ms → 60ms ▁▂█ 注 ±1 %");
        assert!(folded.is_ascii());
        assert_eq!(folded, "# p95 21ms > 60ms _.# ? +1 %");
    }
}
