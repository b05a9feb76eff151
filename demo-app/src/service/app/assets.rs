//! Static assets, made in memory at the start: always the same bytes, so that they can be cached.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::answers::Refusal;
use crate::load::ASSETS;
use crate::service::http::Answer;

/// How many rules an asset has: some 2 KiB of text.
const RULES: usize = 64;

pub(super) struct Assets(Vec<Asset>);

struct Asset {
    name: String,
    body: Bytes,
    etag: HeaderValue,
}

impl Assets {
    pub(super) fn make() -> Self {
        Self((0..ASSETS).map(Asset::make).collect())
    }

    /// Answers an asset, or that the one which the client has is still the same.
    pub(super) fn answer(&self, name: &str, headers: &HeaderMap) -> Result<Answer, Refusal> {
        let asset = self
            .0
            .iter()
            .find(|asset| asset.name == name)
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no asset with this name"))?;
        let mut answer = Answer::default();
        if headers.get(header::IF_NONE_MATCH).is_some_and(|tags| asset.is_among(tags)) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *answer.body_mut() = asset.body.clone().into();
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css"));
        }
        answer.headers_mut().insert(header::ETAG, asset.etag.clone());
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        Ok(answer)
    }
}

impl Asset {
    fn make(number: usize) -> Self {
        let mut body = String::new();
        for rule in 0..RULES {
            let _ = writeln!(body, ".content-{number}-{rule} {{ order: {rule}; }}");
        }
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let etag =
            HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal digits are valid");
        Self { name: format!("asset-{number}.css"), body: body.into(), etag }
    }

    /// Whether one of the tags of an `If-None-Match` is this asset's, weak ones included (RFC 9110, section
    /// 13.1.2).
    fn is_among(&self, tags: &HeaderValue) -> bool {
        let weak = |tag: &str| tag.trim().trim_start_matches("W/").as_bytes() == self.etag.as_bytes();
        tags.to_str().is_ok_and(|tags| tags.trim() == "*" || tags.split(',').any(weak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_that_the_client_has_is_not_sent_again() {
        let assets = Assets::make();
        let whole = assets.answer("asset-11.css", &HeaderMap::new()).unwrap();
        assert_eq!(whole.status(), StatusCode::OK);
        let etag = whole.headers()[header::ETAG].to_str().unwrap().to_owned();
        let status = |tags: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::try_from(tags).unwrap());
            assets.answer("asset-11.css", &headers).unwrap().status()
        };
        for same in [etag.clone(), format!("\"old\", W/{etag}"), "*".to_owned()] {
            assert_eq!(status(&same), StatusCode::NOT_MODIFIED, "{same}");
        }
        assert_eq!(status("\"old\""), StatusCode::OK);
        assert_eq!(assets.answer("asset-12.css", &HeaderMap::new()).unwrap_err().status, StatusCode::NOT_FOUND);
    }
}
