//! The services of the demo: edge, proxies, application, worker and the third party. They speak
//! HTTP/1.1 among each other and, but for the third party, instrument themselves.

pub(crate) mod app;
pub(crate) mod edge;
pub(crate) mod external;
pub(crate) mod http;
pub(crate) mod processing;
pub(crate) mod proxy;
pub(crate) mod single_box;
#[cfg(test)]
mod testbed;
pub(crate) mod worker;
