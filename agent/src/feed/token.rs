//! The token that opens a feed to other machines.

use std::fmt;
use std::path::{Path, PathBuf};

use tonic::metadata::AsciiMetadataValue;

/// A shared secret, sent as `authorization: Bearer TOKEN`. It is never printed: its `Debug` is a
/// placeholder and it has no `Display`.
#[derive(Clone)]
pub struct Token(String);

/// Why something cannot be a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nothing is left without the white space around it.
    #[error("the token is empty")]
    Empty,
    /// It cannot travel in a header.
    #[error("the token holds a space, a control character or a letter outside ASCII")]
    Characters,
    /// The file cannot be read.
    #[error("the token file {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Token {
    /// The token in `text`, without the white space around it: printable ASCII, not empty.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// The token in a file, without the white space around it.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TokenError::File { path: path.to_owned(), source })?;
        Self::new(&text)
    }

    /// The value of the `authorization` header that carries it.
    pub(super) fn header(&self) -> AsciiMetadataValue {
        let mut value = AsciiMetadataValue::try_from(format!("Bearer {}", self.0)).expect("a token is printable ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether `header` carries this token. The scheme's name is read in any case (RFC 9110,
    /// section 11.1).
    pub(super) fn opens(&self, header: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let Some((scheme, offered)) = header.split_at_checked(SCHEME.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(SCHEME) && equal_in_constant_time(offered, self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Compares without telling by its duration how many bytes were right; the length is no secret.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0, |difference, (x, y)| std::hint::black_box(difference | (x ^ y)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_own_header_only() {
        let token = Token::new(" secret-1\n").unwrap();
        assert!(token.opens(token.header().as_bytes()));
        assert!(token.opens(b"bearer secret-1"));
        for header in ["", "Bearer", "Bearer ", "secret-1", "Bearer secret-2", "Bearer secret-11", "Basic! secret-1"] {
            assert!(!token.opens(header.as_bytes()), "{header}");
        }
    }

    #[test]
    fn is_never_printed() {
        let token = Token::new("secret-1").unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn refuses_what_no_header_carries() {
        assert!(matches!(Token::new(" \n"), Err(TokenError::Empty)));
        assert!(matches!(Token::new("a b"), Err(TokenError::Characters)));
        assert!(matches!(Token::new("schlüssel"), Err(TokenError::Characters)));
    }

    #[test]
    fn is_read_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "secret-1\n").unwrap();
        assert!(Token::from_file(&path).unwrap().opens(b"Bearer secret-1"));
        let error = Token::from_file(&directory.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none cannot be read"), "{error}");
    }
}
