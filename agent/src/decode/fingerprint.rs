//! The one way of hashing, and the fingerprint by which a shape is known in every batch.

use std::hash::{BuildHasher, Hash, Hasher};

use tiertop_core::observation::SpanShape;

/// Hashing that gives the same answer in every batch, process and run.
pub(super) const HASHING: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0x7469_6572_746f_7021);

/// Hash over everything a shape says, and over the fingerprint of the resource that sent it.
pub(super) fn fingerprint(resource: u64, shape: &SpanShape) -> u64 {
    let SpanShape {
        fingerprint: _,
        resource: _,
        kind,
        status,
        name,
        scope: scope_name,
        http_method,
        http_route,
        http_status,
        path_template,
        peer_address,
        peer_port,
        peer_service,
        db_system,
        db_namespace,
        db_operation,
        db_collection,
        db_queue_work,
        messaging_system,
        messaging_destination,
        messaging_operation,
        messaging_empty,
        rpc_system,
        rpc_service,
        rpc_method,
        s3_bucket,
        faas_trigger,
        celery,
        error_type,
        tier,
        cache_status,
        cache_hit,
        health_check,
    } = shape;
    let mut hasher = HASHING.build_hasher();
    (resource, *kind as u8, *status as u8).hash(&mut hasher);
    (name, scope_name, http_method, http_route, http_status, path_template).hash(&mut hasher);
    (peer_address, peer_port, peer_service).hash(&mut hasher);
    (db_system, db_namespace, db_operation, db_collection, db_queue_work).hash(&mut hasher);
    (messaging_system, messaging_destination, messaging_operation).hash(&mut hasher);
    (messaging_empty, rpc_system, rpc_service, rpc_method).hash(&mut hasher);
    (s3_bucket, faas_trigger, celery, error_type, tier).hash(&mut hasher);
    (cache_status, cache_hit, health_check).hash(&mut hasher);
    hasher.finish()
}
