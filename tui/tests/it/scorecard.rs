//! `tiertop scorecard`: a fault in virtual time is detected, named and scored; and what the command refuses.

use std::time::Duration;

use tiertop::scorecard::play::{Manner, Plan, Times, play};
use tiertop::scorecard::score::Recovery;
use tiertop_demo::Phase;
use tiertop_demo::fault::{Fault, Intensity};

use crate::{said, tiertop};

fn plan(fault: Fault) -> Plan {
    let [healthy, lasting, after] = [80, 30, 20].map(Duration::from_secs);
    Plan {
        fault,
        intensity: Intensity::High,
        phase: Phase::DATABASE_READS,
        seed: 1,
        rate: 30.0,
        manner: Manner::Open,
        reads_per_write: None,
        times: Times { healthy, lasting, after },
    }
}

#[test]
fn a_gross_fault_in_virtual_time_is_detected_named_and_scored() {
    let played = play(&plan(Fault::ExternalSlow)).unwrap();
    let score = played.fault().expect("a fault was injected");
    assert_eq!((&*played.name, &*played.intensity, &*played.load), ("external-slow", "high", "30 req/s"));
    assert!(played.spans > 10_000, "{}", played.spans);
    assert!(score.right.tier && score.right.class && score.incidents.before == 0, "{score:?}");
    assert!(score.detected_after_s.is_some_and(|seconds| seconds < 25.0), "{score:?}");
    assert!(matches!(score.recovery, Recovery::After(_)), "{score:?}");
}

#[test]
fn noise_is_scored_as_healthy_time() {
    let times = Times { healthy: Duration::from_secs(10), lasting: Duration::from_secs(20), after: Duration::ZERO };
    let played = play(&Plan { times, ..plan(Fault::HealthyNoise) }).unwrap();
    let score = played.healthy().expect("nothing was wrong");
    assert!((score.hours - 20.0 / 3600.0).abs() < 2.0 / 3600.0, "{score:?}");
}

#[test]
fn what_cannot_be_played_is_refused_with_a_hint() {
    for (arguments, hint) in
        [(["--seeds", "x"], "3-5"), (["--rates", "0"], "above zero"), (["--classes", "x"], "cache-flush")]
    {
        let output = tiertop(&["scorecard"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(hint), "{}", said(&output));
    }
}
