//! Requests and answers of the simulated system, and the span and metrics that a server gives each.

use std::rc::Rc;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::sim::instance::Instance;
use crate::sim::measures::Labels;
use crate::sim::names::{self, number, text, with};
use crate::sim::spans::{Context, OpenSpan};
use crate::topology::Role;

/// What a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Item { content_id: i64 },
    List { user_id: i64 },
    Asset { rank: usize },
    Write,
    Upload,
    LogIn { user_id: i64 },
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    /// The user whose session it carries.
    pub(super) session: Option<i64>,
    /// The trace that it belongs to; none for one from outside.
    pub(super) context: Option<Context>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The content that was written.
    pub(super) content_id: Option<i64>,
}

impl Answer {
    /// An answer that says nothing but its status.
    pub(super) fn of(status: u16) -> Self {
        Self { status, content_id: None }
    }

    pub(super) fn success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Request {
    pub(super) fn method(&self) -> &'static str {
        match self.ask {
            Ask::Item { .. } | Ask::List { .. } | Ask::Asset { .. } => "GET",
            Ask::Write | Ask::Upload | Ask::LogIn { .. } => "POST",
        }
    }

    pub(super) fn path(&self) -> String {
        match self.ask {
            Ask::Item { content_id } => format!("/api/v1/content/{content_id}"),
            Ask::List { .. } | Ask::Write => "/api/v1/content".to_owned(),
            Ask::Asset { rank } => format!("/static/asset-{rank}.css"),
            Ask::Upload => "/api/v1/upload".to_owned(),
            Ask::LogIn { .. } => "/api/v1/session".to_owned(),
        }
    }

    fn route(&self) -> &'static str {
        match self.ask {
            Ask::Item { .. } => "/api/v1/content/{content_id}",
            Ask::List { .. } | Ask::Write => "/api/v1/content",
            Ask::Asset { .. } => "/static/{name}",
            Ask::Upload => "/api/v1/upload",
            Ask::LogIn { .. } => "/api/v1/session",
        }
    }

    /// Whether an answer may be kept and given to others.
    pub(super) fn cacheable(&self) -> bool {
        matches!(self.ask, Ask::Asset { .. })
    }
}

/// A request that a server is answering; its span and its metrics end with it.
pub(super) struct Serving {
    pub(super) span: OpenSpan,
    of: Rc<Instance>,
    request: Request,
    since: crate::sim::clock::Time,
}

impl Serving {
    /// Begins the SERVER span of a request.
    pub(super) fn new(of: &Rc<Instance>, request: Request) -> Self {
        let method = request.method();
        let route = knows_routes(of.role.get()).then(|| request.route());
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let span = OpenSpan::new(of, request.context, SpanKind::Server, &name, || {
            let mut all = with(
                &address(of),
                [
                    text("http.request.method", method),
                    text("url.scheme", "http"),
                    text("url.path", request.path()),
                    text("network.protocol.version", "1.1"),
                ],
            );
            all.extend(route.map(|route| text("http.route", route)));
            all
        });
        let serving = Self { span, of: Rc::clone(of), request, since: of.clock().now() };
        serving.active(1.0);
        serving
    }

    fn active(&self, by: f64) {
        let method = self.request.method();
        self.of.series.borrow_mut().add(&names::SERVER_ACTIVE, Labels::of(method), by, || {
            with(&address(&self.of), [text("http.request.method", method), text("url.scheme", "http")])
        });
    }

    /// Records the answer.
    pub(super) fn answered(&mut self, answer: Answer) -> Answer {
        let (status, method) = (answer.status, self.request.method());
        self.span.set(|| number("http.response.status_code", i64::from(status)));
        if status >= 500 {
            self.span.fail(&status.to_string(), "");
        }
        let route = if knows_routes(self.of.role.get()) { self.request.route() } else { "" };
        let labels = Labels { name: method, detail: route, status, ..Labels::default() };
        let took = self.of.clock().since(self.since).as_secs_f64();
        self.of.series.borrow_mut().record(&names::SERVER_DURATION, labels, (took, 1), || {
            let mut all = with(
                &address(&self.of),
                [
                    text("http.request.method", method),
                    text("url.scheme", "http"),
                    number("http.response.status_code", i64::from(status)),
                ],
            );
            all.extend((!route.is_empty()).then(|| text("http.route", route)));
            all.extend((status >= 500).then(|| text("error.type", status.to_string())));
            all
        });
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.active(-1.0);
    }
}

fn knows_routes(role: Role) -> bool {
    matches!(role, Role::App | Role::Box)
}

/// The address that a server says it listens at.
fn address(of: &Instance) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    of.peer.clone()
}
