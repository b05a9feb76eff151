//! The diagnosis of captures of other systems: made-up shops with faults, in many forms, through `analyze`.
//!
//! `cargo test -p tiertop-agent --release --test shops -- --ignored --nocapture` prints the table of
//! `core/SCORECARD.md`; the other tests hold its floor with fewer cases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod fault;
mod form;
mod plan;
mod play;
mod score;

use std::collections::BTreeMap;

use fault::{Fault, FaultKind};
use form::{FORMS, Form, Kinds};
use plan::{BOUTIQUE, TICKETS};
use score::{Case, Score, cases, outcome};

/// Plays cases and adds up what is said of them, by kind of fault.
fn score(cases: impl IntoIterator<Item = Case>) -> BTreeMap<&'static str, Score> {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for case in cases {
        if let Some(report) = outcome(&case) {
            let kind = case.fault.map_or("nothing", |fault| fault.kind.name());
            for kind in [kind, "all"] {
                scores.entry(kind).or_default().add(&case, &report);
            }
        }
    }
    scores
}

#[test]
#[ignore = "takes minutes: prints the table of SCORECARD.md"]
fn the_table_of_the_scorecard() {
    let only = std::env::var("FORM").ok();
    let seeds = std::env::var("SEEDS")
        .map_or(vec![3, 4, 5], |seeds| seeds.split(',').map(|seed| seed.parse().unwrap()).collect::<Vec<u64>>());
    println!(
        "| capture | shop | faults | service, top-1 | top-3 | class of slow work and network | silent | healthy, named |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut by_kind: BTreeMap<&str, Score> = BTreeMap::new();
    for form in FORMS.iter().filter(|form| only.as_deref().is_none_or(|only| only == form.name)) {
        for shop in [&BOUTIQUE, &TICKETS] {
            let scores = score(seeds.iter().flat_map(|seed| cases(shop, form, *seed)));
            println!("| {} | {} | {} |", form.name, shop.name, scores["all"].row());
            if form.name == FORMS[0].name {
                for (kind, score) in scores {
                    by_kind.entry(kind).or_default().merge(&score);
                }
            }
        }
    }
    for (kind, score) in by_kind.iter().filter(|(_, score)| score.first().0 > 0) {
        println!("| {} | both: {kind} | {} |", FORMS[0].name, score.row());
    }
}

/// Some of the cases of a form.
fn some(form: &'static Form, seed: u64) -> Vec<Case> {
    let all = [&BOUTIQUE, &TICKETS].into_iter().flat_map(|shop| cases(shop, form, seed));
    all.skip(seed as usize).step_by(15).collect()
}

#[test]
fn the_service_at_fault_is_named_first_in_whatever_form_a_capture_comes() {
    let told = |form: &Form| form.kinds != Kinds::ServersOnly;
    let cases = FORMS.iter().filter(|form| told(form)).zip(1..).flat_map(|(form, seed)| some(form, seed));
    let scores = score(cases);
    let (faults, share) = scores["all"].first();
    assert!(faults >= 40, "only {faults} faults");
    assert!(share >= 0.9, "{share:.2} of {faults}: {scores:#?}");
    assert!(scores["all"].false_verdicts() <= 4, "{scores:#?}");
}
