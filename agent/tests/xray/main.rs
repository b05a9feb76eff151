//! Traces as X-Ray's segment documents.
#![cfg(feature = "aws")]

mod documents;
mod limits;
mod naming;
mod sent;
