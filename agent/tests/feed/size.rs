//! How big a snapshot is on the wire.

use prost::Message;
use tiertop_agent::feed::convert::to_wire;
use tiertop_agent::feed::{Detail, MAX_MESSAGE_BYTES};

use crate::fixture::{self, Extent};

/// The most that gRPC reads unless told otherwise: 4 MiB.
const GRPC_DEFAULT: usize = 4 * 1024 * 1024;

#[test]
fn two_hundred_tiers_and_as_many_traces_as_are_kept_stay_under_the_default_limit_of_grpc() {
    let extent = Extent { tiers: 200, instances: 4, operations: 20, buckets: 100, traces: 48, spans: 100 };
    let snapshot = fixture::snapshot(1, extent);
    let full = to_wire(&snapshot, Detail::Full).encode_to_vec();
    let overview = to_wire(&snapshot, Detail::Overview).encode_to_vec();
    let compressed = zstd::encode_all(full.as_slice(), 0).unwrap();
    println!("200 tiers: full {} bytes, as zstd {}, overview {}", full.len(), compressed.len(), overview.len());
    assert!(full.len() < 3 * 1024 * 1024, "{}", full.len());
    assert!(full.len() < GRPC_DEFAULT && GRPC_DEFAULT < MAX_MESSAGE_BYTES);
    assert!(overview.len() < full.len() / 2, "{}", overview.len());
}
