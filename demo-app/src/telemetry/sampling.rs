//! Which traces are kept: a share of those that begin here, and of the others those that came sampled.
//!
//! A trace is kept if the low 56 bits of its id, which are random, reach a threshold; the threshold
//! goes along as `ot=th:..` in `tracestate`, so that who gets the spans knows how many each stands for
//! (OpenTelemetry specification, "Probability Sampling"). The share can be changed at any
//! time. Where `OTEL_TRACES_SAMPLER` is set the SDK's own sampler rules, and nothing can be changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// The first number that the random bits cannot reach: 2^56.
const BEYOND: u64 = 1 << 56;

/// The share of new traces that is kept; clones are the same share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    /// The random bits of a trace that is kept are this or more.
    threshold: Arc<AtomicU64>,
}

impl Share {
    /// Keeps another share, 0 to 1, of the traces that begin from now on.
    pub(crate) fn keep(&self, share: f64) {
        self.threshold.store(threshold(share), Ordering::Relaxed);
    }

    /// The sampler of the whole process.
    pub(super) fn sampler(&self) -> impl ShouldSample + 'static {
        Sampler::parent_based(Root(self.clone()))
    }
}

/// Decides about traces that begin here.
#[derive(Clone, Debug)]
struct Root(Share);

impl ShouldSample for Root {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let threshold = self.0.threshold.load(Ordering::Relaxed);
        let came = parent.map(|parent| parent.span().span_context().trace_state().clone()).unwrap_or_default();
        let (decision, trace_state) = if random_bits(trace_id) >= threshold {
            (SamplingDecision::RecordAndSample, marked(came, threshold))
        } else {
            (SamplingDecision::Drop, came)
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

/// Returns the low 56 bits of a trace's id.
fn random_bits(trace_id: TraceId) -> u64 {
    (u128::from_be_bytes(trace_id.to_bytes()) as u64) & (BEYOND - 1)
}

/// Returns the threshold that a share of all random bits reaches.
fn threshold(share: f64) -> u64 {
    ((1.0 - share.clamp(0.0, 1.0)) * BEYOND as f64) as u64
}

/// Adds the threshold to a trace's state, unless everything is kept.
fn marked(state: TraceState, threshold: u64) -> TraceState {
    if threshold == 0 {
        return state;
    }
    // 14 digits are 56 bits; zeros at the end are left out.
    let digits = format!("{threshold:014x}");
    let value = format!("th:{}", digits.trim_end_matches('0'));
    state.insert("ot", value).unwrap_or(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Span, SpanContext, SpanId, TraceFlags, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn decide(share: &Share, trace_id: u128) -> SamplingResult {
        Root(share.clone()).should_sample(None, trace_id.into(), "", &SpanKind::Server, &[], &[])
    }

    #[test]
    fn a_share_of_new_traces_is_kept_and_says_so() {
        let (share, mut random) = (Share::default(), StdRng::seed_from_u64(1));
        share.keep(0.25);
        let ids: Vec<u128> = (0..10_000).map(|_| random.random()).collect();
        let results: Vec<SamplingResult> = ids.iter().map(|&id| decide(&share, id)).collect();
        let kept = results.iter().filter(|result| result.decision == SamplingDecision::RecordAndSample);
        assert!(kept.clone().all(|result| result.trace_state.get("ot") == Some("th:c")));
        let kept = kept.count();
        assert!((2_300..2_700).contains(&kept), "{kept}");
        assert!(
            results
                .iter()
                .filter(|result| result.decision == SamplingDecision::Drop)
                .all(|result| { result.trace_state.get("ot").is_none() })
        );
    }

    #[test]
    fn what_begins_here_is_decided_here_and_goes_along_with_its_threshold() {
        let share = Share::default();
        share.keep(0.5);
        let provider = SdkTracerProvider::builder().with_sampler(share.sampler()).build();
        let tracer = provider.tracer("test");
        let kept = (0..1_000).map(|_| tracer.start("root")).find(|root| root.span_context().is_sampled()).unwrap();
        assert_eq!(kept.span_context().trace_state().get("ot"), Some("th:8"));
        let came = |sampled| {
            let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let state = kept.span_context().trace_state().clone();
            let parent = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, true, state);
            tracer.start_with_context("child", &Context::new().with_remote_span_context(parent))
        };
        share.keep(0.0);
        assert!(came(true).span_context().is_sampled(), "who came sampled stays sampled");
        assert_eq!(came(true).span_context().trace_state().get("ot"), Some("th:8"));
        share.keep(1.0);
        assert!(!came(false).span_context().is_sampled());
    }

    #[test]
    fn all_or_none_are_kept_without_a_threshold() {
        let share = Share::default();
        for id in [0, u128::MAX] {
            let result = decide(&share, id);
            assert_eq!((result.decision, result.trace_state), (SamplingDecision::RecordAndSample, TraceState::NONE));
        }
        share.keep(0.0);
        assert_eq!(decide(&share, u128::MAX).decision, SamplingDecision::Drop);
        share.keep(1.0);
        assert_eq!(decide(&share, 0).decision, SamplingDecision::RecordAndSample);
    }

    #[test]
    fn only_the_low_56_bits_decide() {
        let share = Share::default();
        share.keep(0.5);
        let half = 1_u128 << 55;
        assert_eq!(decide(&share, half | 1 << 127).decision, SamplingDecision::RecordAndSample);
        assert_eq!(decide(&share, (half - 1) | (0xff << 56)).decision, SamplingDecision::Drop);
        assert_eq!(decide(&share, half).trace_state.get("ot"), Some("th:8"));
    }
}
