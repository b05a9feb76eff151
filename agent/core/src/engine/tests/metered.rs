//! A system of which only histograms arrive: its tiers, and what is named when one is slow.

use super::scenario::System;
use crate::observation::AttributeValue;
use crate::snapshot::{DiagnosisState, Snapshot};

/// Calls between two reports.
const CALLS: f64 = 300.0;

/// What the shop's senders have counted so far, in seconds.
#[derive(Default)]
struct Counted {
    calls: f64,
    front: f64,
    orders: f64,
    database: f64,
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::Text(value.into())
}

/// Lets reports come, 10 s apart, of a gateway, the service behind it and its database.
fn reports(system: &mut System, counted: &mut Counted, count: usize, database_ms: f64) -> Snapshot {
    let mut last = Snapshot::default();
    for _ in 0..count {
        counted.calls += CALLS;
        counted.database += CALLS * database_ms / 1e3;
        counted.orders += CALLS * (database_ms + 4.0) / 1e3;
        counted.front += CALLS * (database_ms + 6.0) / 1e3;
        let route = [("http.request.method", text("POST")), ("http.route", text("/orders"))];
        let called = [("http.request.method", text("POST")), ("server.address", text("orders.shop.svc"))];
        let statement = [
            ("db.system.name", text("postgresql")),
            ("db.namespace", text("orders")),
            ("db.operation.name", text("INSERT")),
            ("server.address", text("db1")),
        ];
        let calls = counted.calls as u64;
        system.durations("gateway", "http.server.request.duration", &route, calls, counted.front);
        system.durations(
            "gateway",
            "http.client.request.duration",
            &called,
            calls,
            counted.orders + counted.calls / 1e3,
        );
        system.durations("orders", "http.server.request.duration", &route, calls, counted.orders);
        system.durations("orders", "db.client.operation.duration", &statement, calls, counted.database);
        for _ in 0..10 {
            last = system.pass_second();
        }
    }
    last
}

#[test]
fn a_system_without_spans_has_tiers_and_a_verdict() {
    let (mut system, mut counted) = (System::new(), Counted::default());
    let well = reports(&mut system, &mut counted, 14, 8.0);
    assert_eq!(super::scenario::ids(&well), ["app/gateway", "app/orders", "db-primary/orders@db1"]);
    assert_eq!(well.tiers[2].requests_per_second.map(f64::round), Some(30.0));
    assert_eq!(well.diagnosis.state, DiagnosisState::Healthy, "{}", well.diagnosis.summary);
    let slow = reports(&mut system, &mut counted, 4, 90.0);
    let verdict = slow.diagnosis.verdict().expect("a verdict");
    assert_eq!(verdict.tier.id, "db-primary/orders@db1");
    assert_eq!(verdict.evidence.last().map(String::as_str), Some("from metrics alone, 10 s apart"));
    let after = reports(&mut system, &mut counted, 4, 8.0);
    assert_eq!(after.diagnosis.open().count(), 0, "{}", after.diagnosis.summary);
}
