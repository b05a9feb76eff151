//! The messages of the feed and its client, as generated from `proto/tiertop/feed/v1/feed.proto`.
//!
//! The code is committed so that building needs no protobuf compiler; `tests/feed_proto.rs` fails
//! when it is not what the proto says.
#![allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated: the words are in the proto")]

include!("generated/tiertop.feed.v1.rs");
