//! What clients send, checked: a wrong type is told apart from what is no JSON, and says what is right.

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answers::Refusal;

/// Returns a content's id from a path.
pub(super) fn content_id(text: &str) -> Result<i64, Refusal> {
    let wrong = || Refusal::new(StatusCode::BAD_REQUEST, "content_id is not an integer from 0 to 2^63 - 1");
    text.parse().ok().filter(|id| *id >= 0).ok_or_else(wrong)
}

/// Returns a user's id from a header or a query.
pub(super) fn user_id(text: &str) -> Result<i64, Refusal> {
    let wrong = || Refusal::unprocessable("the user's id is not an integer from 0 to 2^63 - 1");
    text.parse().ok().filter(|id| *id >= 0).ok_or_else(wrong)
}

/// Reads a JSON body of a shape.
pub(super) fn body<T: DeserializeOwned>(body: &[u8], shape: &str) -> Result<T, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    serde_json::from_value(body).map_err(|error| Refusal::unprocessable(format!("the body is not {shape}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_integers_of_64_bits_and_not_negative() {
        assert_eq!(content_id("17").unwrap(), 17);
        assert_eq!(user_id("0").unwrap(), 0);
        for bad in ["-1", "one", "", "1.5", "9223372036854775808"] {
            assert_eq!(content_id(bad).unwrap_err().status, StatusCode::BAD_REQUEST, "{bad}");
            assert_eq!(user_id(bad).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        }
    }
}
