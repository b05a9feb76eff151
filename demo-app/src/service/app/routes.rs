//! The routes of the application and their methods.

use http::Method;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// The collection of contents.
    Contents,
    /// One content, by its id as the path has it.
    Content(&'a str),
    /// Where files are uploaded.
    Upload,
    /// The session of whoever asks.
    Session,
    /// A static asset, by name.
    Asset(&'a str),
}

impl<'a> Route<'a> {
    /// Returns what a path leads to, if anywhere.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let segment = |rest: &'a str| (!rest.is_empty() && !rest.contains('/')).then_some(rest);
        match path {
            "/api/v1/content" => Some(Self::Contents),
            "/api/v1/upload" => Some(Self::Upload),
            "/api/v1/session" => Some(Self::Session),
            _ => {
                let content = path.strip_prefix("/api/v1/content/").and_then(segment).map(Self::Content);
                content.or_else(|| path.strip_prefix("/static/").and_then(segment).map(Self::Asset))
            }
        }
    }

    /// Returns the `http.route` of a route.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::Contents => "/api/v1/content",
            Self::Content(_) => "/api/v1/content/{content_id}",
            Self::Upload => "/api/v1/upload",
            Self::Session => "/api/v1/session",
            Self::Asset(_) => "/static/{name}",
        }
    }

    /// Returns the methods that a route takes, as the `Allow` header lists them.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Contents | Self::Session => "GET, POST",
            Self::Content(_) | Self::Asset(_) => "GET",
            Self::Upload => "POST",
        }
    }

    /// Whether a route takes a method.
    pub(super) fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|taken| taken == method.as_str())
    }

    /// Whether a request makes a new content.
    pub(super) fn writes(self, method: &Method) -> bool {
        method == Method::POST && matches!(self, Self::Contents | Self::Upload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_routes() {
        assert_eq!(Route::of("/api/v1/content"), Some(Route::Contents));
        assert_eq!(Route::of("/api/v1/content/17"), Some(Route::Content("17")));
        assert_eq!(Route::of("/api/v1/content/x"), Some(Route::Content("x")));
        assert_eq!(Route::of("/static/asset-0.css"), Some(Route::Asset("asset-0.css")));
        for other in ["/", "/api/v1/content/", "/api/v1/content/1/2", "/api/v1/contents", "/static/", "/static/a/b"] {
            assert_eq!(Route::of(other), None, "{other}");
        }
    }

    #[test]
    fn routes_take_their_methods_only() {
        assert!(Route::Contents.takes(&Method::GET) && Route::Contents.takes(&Method::POST));
        assert!(!Route::Contents.takes(&Method::DELETE));
        assert!(!Route::Content("1").takes(&Method::POST));
        assert!(!Route::Upload.takes(&Method::GET));
    }
}
