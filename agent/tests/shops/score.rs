//! Cases, and what is said of them against the truth.

use std::collections::BTreeMap;

use prost::Message;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tiertop_agent::analyze::{AnalyzeOptions, analyze};
use tiertop_core::config::Config;
use tiertop_core::diagnosis::Report;

use super::form::{Form, write};
use super::plan::{Operation, Shop};
use super::play::{Part, Spanned, play};
use super::{Fault, FaultKind};

/// Requests of a baseline.
const BASELINE_REQUESTS: usize = 300;

/// A capture that is to be judged.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shop: &'static Shop,
    pub(crate) form: &'static Form,
    /// `None` for a healthy one.
    pub(crate) fault: Option<Fault>,
    pub(crate) requests: usize,
    pub(crate) seed: u64,
}

/// Visits to the service at fault under which a capture does not show the fault to anybody.
const SHOWN: usize = 5;

/// Every service with every kind of fault once, and as many healthy captures as services.
pub(crate) fn cases(shop: &'static Shop, form: &'static Form, seed: u64) -> Vec<Case> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut faults: Vec<Option<Fault>> = vec![None; shop.services().len()];
    for service in shop.services() {
        let own: Vec<&Operation> = shop.operations.iter().filter(|one| one.service() == service).collect();
        let mut kinds = vec![
            FaultKind::Cpu { times: dice.random_range(2.0_f64.ln()..10.0_f64.ln()).exp() },
            FaultKind::Network { ms: dice.random_range(50.0_f64.ln()..500.0_f64.ln()).exp() },
            FaultKind::Exception { share: dice.random_range(0.3..1.0) },
        ];
        // At the front operations are not told apart by name.
        if own.len() > 1 && shop.routes.iter().all(|route| !route.0.starts_with(service)) {
            let operation = own.choose(&mut dice).expect("operations of a service").name();
            kinds.push(FaultKind::OneOperation {
                operation,
                times: dice.random_range(4.0_f64.ln()..10.0_f64.ln()).exp(),
            });
        }
        faults.extend(kinds.into_iter().map(|kind| Some(Fault { service, kind, one_pod: dice.random_bool(0.2) })));
    }
    let case = |(place, fault)| Case {
        shop,
        form,
        fault,
        requests: dice.random_range(60..150),
        seed: seed * 1_000 + place as u64,
    };
    faults.into_iter().enumerate().map(case).collect()
}

/// What `analyze` says of a case; `None` where hardly anything of the capture meets the fault.
pub(crate) fn outcome(case: &Case) -> Option<Report> {
    let mut dice = StdRng::seed_from_u64(case.seed);
    let pods: BTreeMap<&str, usize> = case
        .shop
        .services()
        .into_iter()
        .map(|service| (service, *[1, 1, 2, 3].choose(&mut dice).unwrap_or(&1)))
        .collect();
    let folder = tempfile::TempDir::new().unwrap();
    let file = |name: &str, spans: &[Spanned], seed| {
        let path = folder.path().join(name);
        std::fs::write(&path, write(spans, case.form, seed).encode_to_vec()).unwrap();
        vec![path]
    };
    let [first, second] = [case.seed * 2, case.seed * 2 + 1];
    let faulty = play(case.shop, case.fault, &pods, case.requests, 900_000.0, second);
    let is_hit = |span: &&Spanned| span.part == Part::Served && case.fault.is_some_and(|fault| fault.hits(span));
    if case.fault.is_some() && (faulty.iter().filter(is_hit).count() as f64 * case.form.kept) < SHOWN as f64 {
        return None;
    }
    let baseline = file("baseline", &play(case.shop, None, &pods, BASELINE_REQUESTS, 0.0, first), first);
    let files = file("case", &faulty, second);
    Some(analyze(&AnalyzeOptions { files, baseline, config: Config::default(), trace_bytes: 64 << 20 }).unwrap())
}

/// What came of some cases.
#[derive(Debug, Default)]
pub(crate) struct Score {
    faults: usize,
    first: usize,
    among_three: usize,
    class: usize,
    classes: usize,
    silent: usize,
    healthy: usize,
    false_verdicts: usize,
}

impl Score {
    pub(crate) fn add(&mut self, case: &Case, report: &Report) {
        let first = report.verdicts.first();
        let Some(fault) = case.fault else {
            self.healthy += 1;
            self.false_verdicts += usize::from(first.is_some());
            if let Some(first) = first {
                tell(case, &format!("false {} {:.2} {:?}", first.tier.member, first.confidence, first.evidence));
            }
            return;
        };
        self.faults += 1;
        let Some(verdict) = first else {
            self.silent += 1;
            tell(
                case,
                &format!("silent: {} usual {:?} excess {:?}", report.summary, report.usual_ms, report.excess_ms),
            );
            return;
        };
        let is_it = |member: &str| member == fault.service;
        let others = report.verdicts[1..]
            .iter()
            .map(|other| &other.tier)
            .chain(verdict.alternatives.iter().map(|other| &other.tier));
        let is_first = is_it(&verdict.tier.member);
        self.first += usize::from(is_first);
        self.among_three += usize::from(is_first || others.take(2).any(|tier| is_it(&tier.member)));
        if !is_first {
            tell(
                case,
                &format!(
                    "named {} {:?} {:.2} {:?}",
                    verdict.tier.member, verdict.class, verdict.confidence, verdict.evidence
                ),
            );
        }
        let Some(class) = fault.kind.class() else { return };
        let is_class = verdict.class.as_deref() == Some(class);
        self.classes += usize::from(is_first);
        self.class += usize::from(is_first && is_class);
        if is_first && !is_class {
            tell(case, &format!("class {:?} {:?}", verdict.class, verdict.evidence));
        }
    }

    /// How many faults there were, and the share of them of which the service was named first.
    pub(crate) fn first(&self) -> (usize, f64) {
        (self.faults, self.first as f64 / self.faults.max(1) as f64)
    }

    /// Healthy captures in which something was named.
    pub(crate) fn false_verdicts(&self) -> usize {
        self.false_verdicts
    }

    /// Adds what came of others.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.faults += other.faults;
        self.first += other.first;
        self.among_three += other.among_three;
        self.class += other.class;
        self.classes += other.classes;
        self.silent += other.silent;
        self.healthy += other.healthy;
        self.false_verdicts += other.false_verdicts;
    }

    /// The figures as cells of a table.
    pub(crate) fn row(&self) -> String {
        let percent = |part: usize, of: usize| format!("{:.0} %", 100.0 * part as f64 / of.max(1) as f64);
        let faults = self.faults;
        format!(
            "{faults} | {} | {} | {} | {} | {} of {}",
            percent(self.first, faults),
            percent(self.among_three, faults),
            percent(self.class, self.classes),
            percent(self.silent, faults),
            self.false_verdicts,
            self.healthy,
        )
    }
}

fn tell(case: &Case, what: &str) {
    if std::env::var("TELL").is_ok() {
        println!("  {} {:?} {} req seed {}: {what}", case.form.name, case.fault, case.requests, case.seed);
    }
}
