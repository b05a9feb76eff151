//! Which kind of tier a member is, as far as traffic tells.
//!
//! | member | kind |
//! |---|---|
//! | matches a rule of the user, or says `tiertop.tier` | what that says |
//! | service whose SERVER spans name a store | that store |
//! | service whose answers carry a cache status, or with a CDN's name | `edge` |
//! | service whose requests do one same-path HTTP call onward and nothing else | `lb` or `web` |
//! | any other service that takes requests | `app` |
//! | takes messages; or only works without being asked | `worker` |
//! | cache, nosql, object store, queue, warehouse peer | that |
//! | database peer | `db-primary` or `db-replica` |
//! | service peer of which no SERVER span ever pairs | `external`; if they pair, it is that service |
//!
//! A proxy is an `lb` if its name says so, if it calls a proxy, or if it stands at the front; else `web`.
//! A database address is a replica if its name says so, or if it only takes reads while another
//! address of the same database takes writes.
//!
//! What was learned is changed only when the opposite has held for [`HOLD_TICKS`] ticks.

use crate::classify::PeerClass;
use crate::tier::TierKind;

use super::members::MemberId;

/// For how many ticks a new finding must hold before it replaces an old one.
const HOLD_TICKS: u32 = 5;
/// Looks at requests that it takes to tell a proxy from an application.
const ENOUGH_LOOKS: f32 = 4.0;
/// Ticks after which a service that gave no looks is called an application.
const WORKS_AFTER_TICKS: u32 = 5;
/// Share of looks that must show a proxy.
pub(crate) const PROXY_SHARE: f32 = 0.8;
/// Reads at an address before "only reads" means anything.
const ENOUGH_READS: f32 = 5.0;
/// Ticks after which little traffic is enough to go by.
const SURE_AFTER_TICKS: u32 = 30;
/// Ticks for which an address that only takes reads is not yet called a primary.
const PRIMARY_AFTER_TICKS: u32 = 5;
/// Services that may answer at one address.
const PAIRS_KEPT: usize = 64;
/// Calls to a peer before "no SERVER span of it arrives" means anything.
const ENOUGH_CALLS: f32 = 3.0;
/// Ticks after the first call before a peer may be called external: its spans may come in later batches.
const EXTERNAL_AFTER_TICKS: u32 = 8;

/// What was seen of a member. Counts decay, so that the present outweighs the past.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Requests looked at that did one same-path call onward and nothing else.
    pub(crate) proxied: f32,
    /// Requests looked at that did anything else.
    pub(crate) worked: f32,
    /// Looks taken in the present second.
    pub(crate) looks: u32,
    /// The spans say that the service is a store.
    pub(crate) store: Option<PeerClass>,
    /// The spans carry a CDN's cache status.
    pub(crate) cache_status: bool,
    /// It acknowledges or deletes messages.
    pub(crate) settles: bool,
    /// The owner says which kind this is: `tiertop.tier`.
    pub(crate) said: Option<TierKind>,
    /// Statements that only a primary can take, and that did not fail.
    pub(crate) writes: f32,
    /// Statements that a replica can take.
    pub(crate) reads: f32,
    /// A metric says how far this address is behind its primary.
    pub(crate) reports_lag: bool,
    /// Calls to this peer.
    pub(crate) calls: f32,
    /// SERVER spans that paired with calls to this peer, by the service they belong to.
    pub(crate) paired: Vec<(MemberId, f32)>,
    /// Ticks since the member was made.
    pub(crate) age_ticks: u32,
}

impl Evidence {
    /// Lets counts fade: a half in about half a minute.
    pub(crate) fn decay(&mut self) {
        for count in [&mut self.proxied, &mut self.worked, &mut self.writes, &mut self.reads, &mut self.calls] {
            *count *= 0.98;
        }
        for (_, count) in &mut self.paired {
            *count *= 0.98;
        }
        self.looks = 0;
        self.age_ticks = self.age_ticks.saturating_add(1);
    }

    /// Takes note of a SERVER span that answered a call to this peer.
    pub(crate) fn pair(&mut self, with: MemberId) {
        if let Some((_, count)) = self.paired.iter_mut().find(|(member, _)| *member == with) {
            *count += 1.0;
        } else if self.paired.len() < PAIRS_KEPT {
            self.paired.push((with, 1.0));
        }
    }

    /// Share of looks that showed a proxy, or `None` before there were enough.
    pub(crate) fn proxy_share(&self) -> Option<f32> {
        let looks = self.proxied + self.worked;
        (looks >= ENOUGH_LOOKS).then(|| self.proxied / looks)
    }

    /// Whether calls to this peer are answered by services that send spans.
    pub(crate) fn is_answered(&self) -> bool {
        self.paired.iter().any(|(_, count)| *count >= 0.5)
    }
}

/// The kind of a member as it stands, and what may replace it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    /// The kind and how it was told; `None` while unknown, or for a peer that is another member.
    pub(crate) known: Option<(TierKind, &'static str)>,
    candidate: Option<(TierKind, &'static str)>,
    held: u32,
}

impl Role {
    /// Takes note of what this tick found. The first finding stands at once; later ones must hold.
    pub(crate) fn learn(&mut self, found: Option<(TierKind, &'static str)>) {
        let Some(found) = found else { return };
        match self.known {
            None => self.known = Some(found),
            Some((kind, _)) if kind == found.0 => {
                self.known = Some(found);
                self.candidate = None;
            }
            Some(_) if self.candidate.map(|(kind, _)| kind) == Some(found.0) => {
                self.held += 1;
                if self.held >= HOLD_TICKS {
                    self.known = Some(found);
                    self.candidate = None;
                }
            }
            Some(_) => {
                self.candidate = Some(found);
                self.held = 1;
            }
        }
    }
}

/// What is known of a service's place among the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// It calls a service that is itself a proxy.
    pub(crate) calls_proxy: bool,
    /// A service that sends spans calls it.
    pub(crate) has_caller: bool,
}

/// The kind of a service that takes requests, or `None` while too little was seen.
pub(crate) fn service_kind(name: &str, evidence: &Evidence, around: Surroundings) -> Option<(TierKind, &'static str)> {
    if let Some(store) = evidence.store {
        return Some((store_kind(store), "its own spans"));
    }
    if evidence.cache_status {
        return Some((TierKind::Edge, "cache status on its answers"));
    }
    if is_cdn(name) && !names_any(name, BALANCER_WORDS) {
        return Some((TierKind::Edge, "a CDN's name"));
    }
    match evidence.proxy_share() {
        Some(share) if share >= PROXY_SHARE => Some(proxy_kind(name, around)),
        Some(_) => Some((TierKind::App, "does work of its own")),
        // A service that calls nobody gives no looks; after a while that is an application's way.
        None if evidence.age_ticks >= WORKS_AFTER_TICKS => Some((TierKind::App, "takes requests")),
        None => None,
    }
}

fn proxy_kind(name: &str, around: Surroundings) -> (TierKind, &'static str) {
    if names_any(name, BALANCER_WORDS) {
        (TierKind::Lb, "passes requests on; by name")
    } else if names_any(name, &["web", "nginx", "httpd", "apache", "proxy"]) && around.has_caller {
        (TierKind::Web, "passes requests on; by name")
    } else if around.calls_proxy {
        (TierKind::Lb, "passes requests on to a proxy")
    } else if around.has_caller {
        (TierKind::Web, "passes requests on")
    } else {
        (TierKind::Lb, "passes requests on, at the front")
    }
}

/// Words in the name of a load balancer.
const BALANCER_WORDS: &[&str] = &["lb", "alb", "elb", "nlb", "balancer", "loadbalancer", "haproxy", "gateway"];

fn is_cdn(name: &str) -> bool {
    names_any(name, &["cdn", "cloudfront", "fastly", "cloudflare", "akamai", "varnish", "edge"])
}

/// Whether one of the words stands alone in the name, between anything that is not a letter.
fn names_any(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|part| words.contains(&part))
}

/// The kind of a store, where its class alone decides.
pub(crate) fn store_kind(class: PeerClass) -> TierKind {
    match class {
        PeerClass::Cache => TierKind::Cache,
        PeerClass::Database => TierKind::DbPrimary,
        PeerClass::Nosql => TierKind::Nosql,
        PeerClass::ObjectStore => TierKind::ObjectStore,
        PeerClass::Queue => TierKind::Queue,
        PeerClass::Warehouse => TierKind::Warehouse,
        PeerClass::Service => TierKind::External,
    }
}

/// The kind of a database address. `others_write`: another address of the same database takes writes.
///
/// `None` for an address that has only been read from for a few seconds: a write elsewhere may yet
/// show that it is a replica.
pub(crate) fn database_kind(
    address: &str,
    evidence: &Evidence,
    others_write: bool,
) -> Option<(TierKind, &'static str)> {
    if names_replica(address) {
        Some((TierKind::DbReplica, "address says replica"))
    } else if evidence.writes >= 0.5 {
        Some((TierKind::DbPrimary, "takes writes"))
    } else if others_write {
        let sure = evidence.reads >= ENOUGH_READS || evidence.age_ticks >= SURE_AFTER_TICKS;
        sure.then_some((TierKind::DbReplica, "only reads here, writes elsewhere"))
    } else {
        let sure = evidence.age_ticks >= PRIMARY_AFTER_TICKS;
        sure.then_some((TierKind::DbPrimary, "no other address of it takes writes"))
    }
}

fn names_replica(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.contains(".cluster-ro-")
        || names_any(
            host,
            &["ro", "replica", "replicas", "reader", "read", "readonly", "standby", "secondary", "slave"],
        )
}

/// The kind of a peer that is called like a service, or `None` while it may yet turn out to be one.
pub(crate) fn service_peer_kind(evidence: &Evidence) -> Option<(TierKind, &'static str)> {
    let silent = !evidence.is_answered() && evidence.age_ticks >= EXTERNAL_AFTER_TICKS;
    (silent && (evidence.calls >= ENOUGH_CALLS || evidence.age_ticks >= SURE_AFTER_TICKS))
        .then_some((TierKind::External, "no spans of it arrive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Surroundings = Surroundings { calls_proxy: false, has_caller: false };
    const BEHIND: Surroundings = Surroundings { calls_proxy: false, has_caller: true };

    fn proxy() -> Evidence {
        Evidence { proxied: 50.0, worked: 1.0, ..Evidence::default() }
    }

    fn kind_of(name: &str, evidence: &Evidence, around: Surroundings) -> Option<TierKind> {
        service_kind(name, evidence, around).map(|(kind, _)| kind)
    }

    #[test]
    fn a_proxy_at_the_front_is_a_balancer() {
        assert_eq!(kind_of("entry", &proxy(), ALONE), Some(TierKind::Lb));
    }

    #[test]
    fn a_proxy_behind_another_is_a_web_server() {
        assert_eq!(kind_of("front-b", &proxy(), BEHIND), Some(TierKind::Web));
    }

    #[test]
    fn a_proxy_that_calls_a_proxy_is_a_balancer() {
        let around = Surroundings { calls_proxy: true, has_caller: true };
        assert_eq!(kind_of("inner", &proxy(), around), Some(TierKind::Lb));
    }

    #[test]
    fn a_proxys_name_decides_between_balancer_and_web_server() {
        assert_eq!(kind_of("content-lb", &proxy(), BEHIND), Some(TierKind::Lb));
        assert_eq!(kind_of("nginx", &proxy(), BEHIND), Some(TierKind::Web));
        assert_eq!(kind_of("album-service", &proxy(), BEHIND), Some(TierKind::Web), "`lb` within a word says nothing");
    }

    #[test]
    fn a_service_that_works_is_an_application_whatever_its_name() {
        let evidence = Evidence { proxied: 20.0, worked: 40.0, ..Evidence::default() };
        assert_eq!(kind_of("web", &evidence, ALONE), Some(TierKind::App));
    }

    #[test]
    fn nothing_is_said_after_too_few_looks() {
        let evidence = Evidence { proxied: 2.0, ..Evidence::default() };
        assert_eq!(kind_of("x", &evidence, ALONE), None);
        let old = Evidence { age_ticks: 5, ..evidence };
        assert_eq!(kind_of("x", &old, ALONE), Some(TierKind::App));
    }

    #[test]
    fn a_cdn_is_told_by_its_answers_or_its_name() {
        let evidence = Evidence { cache_status: true, ..proxy() };
        assert_eq!(kind_of("x", &evidence, ALONE), Some(TierKind::Edge));
        assert_eq!(kind_of("content-cdn", &proxy(), ALONE), Some(TierKind::Edge));
        assert_eq!(kind_of("edge-lb", &proxy(), ALONE), Some(TierKind::Lb), "a balancer at the edge is a balancer");
    }

    #[test]
    fn a_service_whose_spans_name_a_store_is_that_store() {
        let evidence = Evidence { store: Some(PeerClass::Cache), ..Evidence::default() };
        assert_eq!(kind_of("x", &evidence, BEHIND), Some(TierKind::Cache));
    }

    #[test]
    fn an_address_that_only_reads_beside_one_that_writes_is_a_replica() {
        let reads = Evidence { reads: 100.0, ..Evidence::default() };
        let writes = Evidence { reads: 100.0, writes: 5.0, ..Evidence::default() };
        let kind: fn(&str, &Evidence, bool) -> Option<TierKind> =
            |address, evidence, others| database_kind(address, evidence, others).map(|(kind, _)| kind);
        assert_eq!(kind("db2:5432", &reads, true), Some(TierKind::DbReplica));
        assert_eq!(kind("db2:5432", &reads, false), None, "a write may yet be seen elsewhere");
        let old = Evidence { age_ticks: 10, ..reads };
        assert_eq!(kind("db2:5432", &old, false), Some(TierKind::DbPrimary));
        assert_eq!(kind("db1:5432", &writes, true), Some(TierKind::DbPrimary));
    }

    #[test]
    fn an_endpoints_name_tells_a_replica_before_any_traffic() {
        for address in ["x.cluster-ro-abc.eu-central-1.rds.amazonaws.com:5432", "orders-ro:5432", "db-replica-1:5432"] {
            let kind = database_kind(address, &Evidence::default(), false).map(|(kind, _)| kind);
            assert_eq!(kind, Some(TierKind::DbReplica), "{address}");
        }
        assert_eq!(database_kind("broker:5432", &Evidence::default(), false), None);
    }

    #[test]
    fn a_called_service_is_external_only_once_its_spans_stayed_away() {
        let young = Evidence { calls: 100.0, age_ticks: 2, ..Evidence::default() };
        assert_eq!(service_peer_kind(&young), None);
        let old = Evidence { age_ticks: 30, ..young };
        assert_eq!(service_peer_kind(&old).map(|(kind, _)| kind), Some(TierKind::External));
        let answered = Evidence { paired: vec![(MemberId(3), 20.0)], ..old };
        assert_eq!(service_peer_kind(&answered), None);
    }

    #[test]
    fn a_role_changes_only_when_the_new_one_holds() {
        let mut role = Role::default();
        role.learn(Some((TierKind::DbPrimary, "first")));
        for _ in 0..HOLD_TICKS - 1 {
            role.learn(Some((TierKind::DbReplica, "second")));
        }
        assert_eq!(role.known.map(|(kind, _)| kind), Some(TierKind::DbPrimary));
        role.learn(Some((TierKind::DbReplica, "second")));
        assert_eq!(role.known.map(|(kind, _)| kind), Some(TierKind::DbReplica));
    }

    #[test]
    fn a_finding_that_comes_and_goes_changes_nothing() {
        let mut role = Role::default();
        role.learn(Some((TierKind::Lb, "first")));
        for _ in 0..20 {
            role.learn(Some((TierKind::Web, "now this")));
            role.learn(Some((TierKind::Lb, "now that")));
        }
        assert_eq!(role.known.map(|(kind, _)| kind), Some(TierKind::Lb));
    }
}
