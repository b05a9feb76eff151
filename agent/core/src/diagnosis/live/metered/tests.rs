//! A shop of six services that sends only histograms.

use super::*;
use crate::classify::{Peer, PeerClass};
use crate::diagnosis::live::Live;
use crate::engine::naming::Side;
use crate::snapshot::{DiagnosisState, DiagnosisView, SignalKind, SignalView, TierView};
use crate::tier::TierKind;
use crate::time::UnixSecond;

/// What calls take, and what goes wrong.
#[derive(Clone, Copy)]
struct Shop {
    requests_per_second: f64,
    gateway_gap_ms: f64,
    page_ms: f64,
    cart_ms: f64,
    orders_ms: f64,
    catalog_ms: f64,
    cache_ms: f64,
    insert_ms: f64,
    select_ms: f64,
    payments_ms: f64,
    mail_ms: f64,
    /// Reads of the catalogue's database for each request of it.
    misses: f64,
    payments_fail: f64,
    orders_fail: f64,
}

const WELL: Shop = Shop {
    requests_per_second: 40.0,
    gateway_gap_ms: 1.0,
    page_ms: 6.0,
    cart_ms: 4.0,
    orders_ms: 5.0,
    catalog_ms: 5.0,
    cache_ms: 1.0,
    insert_ms: 8.0,
    select_ms: 6.0,
    payments_ms: 20.0,
    mail_ms: 50.0,
    misses: 0.2,
    payments_fail: 0.0,
    orders_fail: 0.0,
};

fn service(name: &str) -> Party {
    let side = if name == "mail" { Side::Processes } else { Side::Serves };
    Party::Service { namespace: "".into(), name: name.into(), side }
}

fn peer(class: PeerClass, system: &str, name: &str, address: &str) -> Party {
    Party::peer(Peer { class, system: system.into(), name: name.into(), address: address.into(), port: 0 })
}

fn http(host: &str) -> Party {
    peer(PeerClass::Service, "http", "", host)
}

fn names() -> BTreeMap<Party, TierName> {
    let named = |party: &Party, kind| (party.clone(), TierName { kind, ..party.presumed() });
    BTreeMap::from([
        named(&service("gateway"), TierKind::Lb),
        named(&peer(PeerClass::Database, "postgresql", "catalog", "db2"), TierKind::DbReplica),
        named(&peer(PeerClass::Database, "postgresql", "orders", "db1"), TierKind::DbPrimary),
    ])
}

/// Who is called or nobody, for what, how often in a request of the front, for how long, how many fail.
type Told = (Option<Party>, &'static str, Option<Act>, f64, f64, f64);

/// The shop as it is heard of.
struct Watched {
    live: Live,
    snapshot: Snapshot,
    second: u64,
    interval_s: u64,
}

impl Watched {
    fn new(interval_s: u64) -> Self {
        let mut snapshot = Snapshot::default();
        snapshot.tiers.push(TierView::named(TierKind::App, "orders"));
        Self { live: Live::new(1 << 20, 100), snapshot, second: 20_000, interval_s }
    }

    /// Lets seconds pass; each service reports at its own moment of the interval.
    fn pass(&mut self, seconds: u64, shop: impl Fn(u64) -> Shop) -> &DiagnosisView {
        for _ in 0..seconds {
            self.second += 1;
            for (place, sender) in ["gateway", "shop", "cart", "orders", "catalog", "mail"].iter().enumerate() {
                if (self.second + place as u64 * 3).is_multiple_of(self.interval_s) {
                    self.report(sender, place as u32, &shop(self.second));
                }
            }
            let settled = UnixSecond(self.second).start();
            self.snapshot.at_unix_ms = settled.as_millis();
            self.live.judge(&mut self.snapshot, settled, names);
        }
        &self.snapshot.diagnosis
    }

    fn report(&mut self, sender: &str, process: u32, shop: &Shop) {
        let Shop { requests_per_second: rate, .. } = *shop;
        // What is measured is never quite the same.
        let noise = 1.0 + 0.04 * ((self.second * 7_919 % 13) as f64 / 6.0 - 1.0);
        let order = shop.orders_ms + shop.insert_ms + shop.payments_ms;
        let product = shop.catalog_ms + shop.cache_ms + shop.misses * shop.select_ms;
        let basket = shop.cart_ms + shop.cache_ms;
        let page = shop.page_ms + basket + 0.2 * order + product;
        let fails = 0.2 * (shop.payments_fail + shop.orders_fail);
        let database = |name: &str, address: &str| peer(PeerClass::Database, "postgresql", name, address);
        let cache = || peer(PeerClass::Cache, "redis", "", "cache1");
        let told: Vec<Told> = match sender {
            "gateway" => vec![
                (None, "GET /", None, 1.0, page + shop.gateway_gap_ms + 1.0, fails),
                (Some(http("shop.default.svc")), "GET", None, 1.0, page + shop.gateway_gap_ms, fails),
            ],
            "shop" => vec![
                (None, "GET /", None, 1.0, page, fails),
                (Some(http("cart")), "GET", None, 1.0, basket + 0.5, 0.0),
                (Some(http("orders")), "POST", None, 0.2, order + 0.5, fails / 0.2),
                (Some(http("catalog")), "GET", None, 1.0, product + 0.5, 0.0),
            ],
            "cart" => vec![
                (None, "GET /cart", None, 1.0, basket, 0.0),
                (Some(cache()), "GET", Some(Act::Read), 1.0, shop.cache_ms, 0.0),
            ],
            "orders" => vec![
                (None, "POST /orders", None, 0.2, order, fails / 0.2),
                (Some(database("orders", "db1")), "INSERT orders", Some(Act::Write), 0.2, shop.insert_ms, 0.0),
                (Some(database("orders", "db1")), "SELECT orders", Some(Act::Read), 0.2, 0.5, 0.0),
                (Some(http("payments.example")), "POST", None, 0.2, shop.payments_ms, shop.payments_fail),
            ],
            "catalog" => vec![
                (None, "GET /products", None, 1.0, product, 0.0),
                (Some(cache()), "GET", Some(Act::Read), 1.0, shop.cache_ms, 0.0),
                (
                    Some(database("catalog", "db2")),
                    "SELECT products",
                    Some(Act::Read),
                    shop.misses,
                    shop.select_ms,
                    0.0,
                ),
            ],
            _ => vec![(None, "process mails", None, 0.1, shop.mail_ms, 0.0)],
        };
        for (called, operation, act, often, ms, fail) in told {
            let count = (rate * often * self.interval_s as f64).round();
            let own = service(sender);
            let (who, asked_by) = called.map_or_else(|| (own.clone(), None), |called| (called, Some(own.clone())));
            self.live.hear(&Heard {
                who,
                asked_by,
                operation: operation.into(),
                act,
                process,
                from: UnixSecond(self.second - self.interval_s).start(),
                to: UnixSecond(self.second).start(),
                count: count as u64,
                seconds: count * ms * noise / 1e3,
                failed: (count * fail) as u64,
            });
        }
    }
}

/// Lets a shop be well, then something else; returns what is said of it and how long it took.
fn named_within(interval_s: u64, seconds: u64, fault: Shop) -> (String, Option<String>) {
    let mut watched = Watched::new(interval_s);
    let well = watched.pass(30 * interval_s, |_| WELL);
    assert_eq!(well.incidents, [], "{}", well.summary);
    assert_eq!(well.state, DiagnosisState::Healthy, "{}", well.summary);
    let after = watched.pass(seconds, |_| fault);
    let verdict = after.verdict().unwrap_or_else(|| panic!("no verdict: {}", after.summary)).clone();
    let said = format!("from metrics alone, {interval_s} s apart");
    assert_eq!(verdict.evidence.last(), Some(&said), "{:?}", verdict.evidence);
    assert!(verdict.confidence > 0.3 && verdict.confidence <= SURE, "{verdict:?}");
    watched.pass(4 * interval_s + 10, |_| WELL);
    assert_eq!(watched.snapshot.diagnosis.open().count(), 0, "it ends");
    (verdict.tier.id, verdict.class)
}

/// The same where ten seconds lie between reports.
fn named(fault: Shop) -> (String, Option<String>) {
    named_within(10, 40, fault)
}

fn class(tier: &str, class: &str) -> (String, Option<String>) {
    (tier.to_owned(), Some(class.to_owned()))
}

#[test]
fn own_work_of_a_service_in_the_middle_is_its_own() {
    assert_eq!(named(Shop { catalog_ms: 45.0, ..WELL }), class("app/catalog", "app-cpu"));
    assert_eq!(named(Shop { cart_ms: 40.0, ..WELL }), class("app/cart", "app-cpu"));
    assert_eq!(named(Shop { page_ms: 60.0, ..WELL }), class("app/shop", "app-cpu"));
}

#[test]
fn a_store_is_told_by_those_that_call_it() {
    assert_eq!(named(Shop { insert_ms: 300.0, ..WELL }), class("db-primary/orders@db1", "lock-contention"));
    assert_eq!(named(Shop { cache_ms: 20.0, ..WELL }), class("cache/redis@cache1", "cache-hot-key"));
    assert_eq!(named(Shop { select_ms: 200.0, ..WELL }).0, "db-replica/catalog@db2");
}

#[test]
fn somebody_elses_service_is_told_by_its_callers() {
    assert_eq!(named(Shop { payments_ms: 300.0, ..WELL }), class("external/payments.example", "external-slow"));
    assert_eq!(named(Shop { payments_fail: 0.6, ..WELL }), class("external/payments.example", "external-slow"));
}

#[test]
fn failures_belong_to_the_deepest_tier_whose_callees_do_not_explain_them() {
    assert_eq!(named(Shop { orders_fail: 0.5, ..WELL }).0, "app/orders");
}

#[test]
fn what_is_lost_between_two_is_the_callees() {
    assert_eq!(named(Shop { gateway_gap_ms: 80.0, ..WELL }), class("app/shop", "network-delay"));
}

#[test]
fn more_reads_behind_a_cache_are_the_caches_misses() {
    assert_eq!(named(Shop { misses: 6.0, ..WELL }), class("cache/redis@cache1", "cache-flush"));
}

#[test]
fn a_worker_is_measured_by_its_own_usual() {
    assert_eq!(named(Shop { mail_ms: 400.0, ..WELL }).0, "worker/mail");
}

#[test]
fn a_signal_gives_the_class() {
    let mut watched = Watched::new(10);
    watched.pass(300, |_| WELL);
    watched.snapshot.signals.push(SignalView {
        kind: SignalKind::PoolPending,
        tier: "app/orders".to_owned(),
        part: String::new(),
        value: Some(14.0),
        inferred: false,
        source: String::new(),
        slope_per_second: None,
        age_s: None,
        trend: Vec::new(),
        hint: None,
    });
    let after = watched.pass(40, |_| Shop { orders_ms: 200.0, ..WELL });
    let verdict = after.verdict().expect("a verdict");
    assert_eq!((verdict.tier.id.as_str(), verdict.class.as_deref()), ("app/orders", Some("pool-exhaustion")));
}

#[test]
fn reports_a_minute_apart_do_as_well() {
    let found = named_within(60, 240, Shop { payments_ms: 300.0, ..WELL });
    assert_eq!(found, class("external/payments.example", "external-slow"));
}

#[test]
fn waves_of_load_and_a_hiccup_are_nothing() {
    let mut watched = Watched::new(10);
    let wave = |second: u64| {
        let requests_per_second = 40.0 + 25.0 * (second as f64 / 60.0).sin();
        let hiccup = if second.is_multiple_of(190) { 30.0 } else { 0.0 };
        Shop { requests_per_second, page_ms: 6.0 + hiccup, ..WELL }
    };
    let after = watched.pass(1_200, wave);
    assert_eq!(after.incidents, [], "{}", after.summary);
}
