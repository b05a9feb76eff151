//! When it began: the run of requests that together are the furthest beyond what is usual.
//!
//! Each request scores the logarithm of its duration over the usual one of its route, less that of
//! [`TIMES`]; a failure scores as one that takes twice as long. The run with the greatest sum is the incident
//! (Kadane's algorithm, one pass). A run of few requests says nothing: then all of them are looked at.

use super::LEAST_REQUESTS;
use super::compare::Part;
use super::routes::Routes;

/// What a request may take longer and still not count: see `compare`.
const TIMES: f64 = 1.3;
/// One request counts for this much at most, either way.
const MOST: f64 = 1.5;

/// The incident's requests, as places in the list.
pub(super) fn incident(after: &Part<'_>, routes: &Routes) -> Option<Vec<bool>> {
    let mut order: Vec<usize> = (0..after.chosen.len()).filter(|place| after.chosen[*place]).collect();
    order.sort_by_key(|place| after.requests.list[*place].start);
    let scores: Vec<f64> = order
        .iter()
        .map(|place| {
            let request = &after.requests.list[*place];
            let took_ms = request.nanos as f64 / 1e6;
            let times = routes.median_ms(routes.after[*place]).map_or(1.0, |usual| took_ms / usual.max(1e-6));
            (times.max(if request.failed { 2.0 * TIMES } else { 0.0 }) / TIMES).ln().clamp(-MOST, MOST)
        })
        .collect();
    let (from, to) = greatest_run(&scores);
    if to - from < LEAST_REQUESTS {
        return None;
    }
    let mut chosen = vec![false; after.chosen.len()];
    for place in &order[from..to] {
        chosen[*place] = true;
    }
    Some(chosen)
}

/// The half-open run with the greatest sum, empty if no value is over zero.
fn greatest_run(scores: &[f64]) -> (usize, usize) {
    let (mut best, mut run) = (0.0, (0, 0));
    let (mut sum, mut from) = (0.0, 0);
    for (place, score) in scores.iter().enumerate() {
        if sum <= 0.0 {
            (sum, from) = (0.0, place);
        }
        sum += score;
        if sum > best {
            (best, run) = (sum, (from, place + 1));
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_spans_a_dip_that_the_rest_outweighs() {
        assert_eq!(greatest_run(&[-1.0, 2.0, -0.5, 2.0, -3.0, 1.0]), (1, 4));
        assert_eq!(greatest_run(&[-1.0, -2.0]), (0, 0));
        assert_eq!(greatest_run(&[]), (0, 0));
    }
}
