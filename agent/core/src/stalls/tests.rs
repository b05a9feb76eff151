//! Streams of completions with gaps, and with what only looks like one.

use super::*;

const BEGIN_S: u64 = 1_800_000_000;

fn at_ms(ms: u64) -> UnixNanos {
    UnixNanos::from_seconds(BEGIN_S).plus_nanos(ms * 1_000_000)
}

/// Ends every `every_ms`, for `seconds`, but for those that `is_missing` says; judged once a second.
fn gaps(every_ms: u64, seconds: u64, is_missing: impl Fn(u64) -> bool) -> Vec<(u64, u64)> {
    let mut completions = Completions::default();
    let mut found = Vec::new();
    for second in 0..seconds {
        for ms in (second * 1000..(second + 1) * 1000).filter(|ms| ms % every_ms == 0 && !is_missing(*ms)) {
            completions.record(at_ms(ms));
        }
        found.extend(completions.judge(at_ms((second + 1) * 1000)));
    }
    let begin = at_ms(0).as_millis();
    found.iter().map(|gap| (gap.start.as_millis() - begin, gap.end.as_millis() - begin)).collect()
}

#[test]
fn an_interval_without_completions_is_a_gap_to_the_nearest_bin() {
    assert_eq!(gaps(20, 20, |ms| (12_300..12_700).contains(&ms)), [(12_290, 12_700)]);
}

#[test]
fn a_gap_over_a_seconds_end_is_one() {
    assert_eq!(gaps(10, 20, |ms| (12_800..13_500).contains(&ms)), [(12_800, 13_500)]);
}

#[test]
fn what_is_usual_stands_still_through_a_long_gap() {
    assert_eq!(gaps(10, 40, |ms| (12_000..27_000).contains(&ms)), [(12_000, 27_000)]);
}

#[test]
fn a_trickle_in_a_gap_does_not_end_it() {
    let found = gaps(5, 20, |ms| (12_000..13_000).contains(&ms) && ms % 100 != 55);
    assert_eq!(found, [(12_000, 13_000)]);
}

#[test]
fn low_traffic_has_no_gaps() {
    assert_eq!(gaps(500, 60, |ms| (20_000..23_000).contains(&ms)), []);
}

#[test]
fn too_short_a_pause_is_no_gap() {
    assert_eq!(gaps(1, 20, |ms| (12_000..12_080).contains(&ms)), []);
}

#[test]
fn traffic_that_falls_for_good_is_forgotten_as_a_gap() {
    let mut completions = Completions::default();
    for ms in (0..10_000).step_by(10) {
        completions.record(at_ms(ms));
    }
    for second in 1..60 {
        assert_eq!(completions.judge(at_ms(second * 1000)), []);
    }
    assert_eq!(completions.open, None);
}

#[test]
fn only_requests_that_the_gap_held_up_make_it_a_stall() {
    let gap = Gap { start: at_ms(1000), end: at_ms(1400), usual_per_second: 50.0 };
    let usual = Some(100e6);
    let mut waiting = Waiting::default();
    assert!(!waiting.look(&gap, (at_ms(900), at_ms(1000)), usual), "ended as it began");
    assert!(!waiting.look(&gap, (at_ms(1390), at_ms(1450)), usual), "began as it ended");
    for _ in 0..3 {
        assert!(waiting.look(&gap, (at_ms(1050), at_ms(1410)), usual));
    }
    assert!(waiting.is_stall());
    assert!(!waiting.look(&gap, (at_ms(1295), at_ms(1410)), usual), "waited, but not for long");
    assert_eq!(waiting, Waiting { open: 3, held_up: 3, affected: 4 });
    for _ in 0..4 {
        assert!(!waiting.look(&gap, (at_ms(900), at_ms(1500)), Some(2e9)), "takes so long anyway");
    }
    assert!(!waiting.is_stall(), "most of what was open takes so long anyway");
}
