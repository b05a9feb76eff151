//! The governor, as the node reports it: its own workers, how many are busy, and who waits for one.
//!
//! That is a limit that the service sets itself, like a thread pool's. It is no processor.

use std::sync::Arc;

use opentelemetry::global;

use crate::store::service_time::{Occupancy, Servers};

/// Reports the workers of a node that is governed.
pub(crate) fn measure(servers: &Arc<Servers>) {
    if servers.occupancy().is_none() {
        return;
    }
    let gauge = |name: &'static str, unit: &'static str, description: &'static str, read: fn(Occupancy) -> usize| {
        let servers = Arc::clone(servers);
        global::meter("content")
            .u64_observable_gauge(name)
            .with_description(description)
            .with_unit(unit)
            .with_callback(move |observer| {
                if let Some(occupancy) = servers.occupancy() {
                    observer.observe(read(occupancy) as u64, &[]);
                }
            })
            .build();
    };
    gauge("service.workers.max", "{worker}", "Requests that this service works for at once.", |now| now.most);
    gauge("service.workers.busy", "{worker}", "Requests that this service works for now.", |now| now.busy);
    gauge("service.workers.pending", "{request}", "Requests that wait for a free worker.", |now| now.pending);
}
