//! The services of the demo: proxies, application and worker. They speak HTTP/1.1 among each other
//! and instrument themselves.

pub(crate) mod app;
pub(crate) mod http;
pub(crate) mod processing;
pub(crate) mod proxy;
pub(crate) mod single_box;
pub(crate) mod worker;
