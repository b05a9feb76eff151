//! x
use super::Engine;
use super::ring::Place;
use crate::observation::Span;
use crate::snapshot::TraceView;
use std::sync::Arc;
#[derive(Debug, Default)]
pub(super) struct KeptTraces {}
impl KeptTraces {
    pub(super) fn note(&mut self, _s: &Span, _p: Place, _r: (u32, bool)) {}
    pub(super) fn forget_indices(&mut self) {}
    pub(super) fn views(&self) -> Vec<Arc<TraceView>> {
        Vec::new()
    }
    pub(super) fn heap_bytes(&self) -> usize {
        0
    }
}
impl Engine {
    pub(super) fn keep_stalled(&mut self, _p: Place) {}
    pub(super) fn keep_traces(&mut self) {}
}
