//! Forgetting what is gone, so that a system whose processes and addresses come and go can be watched
//! for months: once a minute, services, peers and processes that were not heard of for long make room.
//!
//! Routes and the ring of recent spans point into all tables, so they begin anew when anything went.

use std::collections::HashSet;

use super::Engine;
use super::edges::Caller;
use super::members::{Identity, MemberId, Operation};
use super::processes::{ProcessId, ServiceId};
use super::ring::Ring;
use super::routes::Routes;

/// What was not heard of for so long is gone.
const GONE_AFTER_S: f64 = 2.0 * 3600.0;
/// When a table is nearly full, so long is enough.
const GONE_WHEN_FULL_AFTER_S: f64 = 15.0 * 60.0;
/// Seconds between looks.
const EVERY_S: u64 = 60;

impl Engine {
    /// Looks, once a minute, for what is gone.
    pub(super) fn sweep(&mut self) {
        let now = self.now.second();
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.plus(EVERY_S);
        let limits = &self.config.limits;
        let nearly_full = |len: usize, limit: usize| len * 4 > limit * 3;
        let patience = |len, limit| if nearly_full(len, limit) { GONE_WHEN_FULL_AFTER_S } else { GONE_AFTER_S };
        let member_patience = patience(self.members.len(), limits.members);
        let process_patience = patience(self.processes.len(), limits.processes);
        let members: HashSet<MemberId> = self
            .members
            .all()
            .filter(|(_, member)| self.now.seconds_since(member.last_seen) > member_patience)
            .map(|(id, _)| id)
            .collect();
        let processes: HashSet<ProcessId> = self
            .processes
            .all()
            .filter(|(_, process)| self.now.seconds_since(process.last_seen) > process_patience)
            .map(|(id, _)| id)
            .collect();
        let has_idle_operations = self.members.all().any(|(_, member)| {
            nearly_full(member.operations.len(), limits.operations) && member.operations.iter().any(Operation::is_idle)
        });
        if !members.is_empty() || !processes.is_empty() || has_idle_operations {
            self.forget(&members, &processes);
        }
    }

    fn forget(&mut self, members: &HashSet<MemberId>, processes: &HashSet<ProcessId>) {
        self.routes = Routes::default();
        self.ring = Ring::new(self.config.limits.recent_spans);
        self.looks.clear();
        self.stalls.forget_indices();
        self.kept.forget_indices();
        self.routes_forgotten += 1;
        let is_gone = |id: ProcessId| processes.contains(&id);
        self.metrics.forget(is_gone);
        self.signals.forget(is_gone);
        self.processes.untie(|id| members.contains(&id));
        for &id in members {
            self.members.retire(id);
        }
        for (_, member) in self.members.all_mut() {
            member.forget_operations();
            member.instances.retain(|instance| !is_gone(instance.process));
            member.reported.retain(|report| !is_gone(report.process));
            member.evidence.paired.retain(|(with, _)| !members.contains(with));
        }
        for &id in processes {
            self.processes.retire(id);
        }
        let of_members: HashSet<ServiceId> = self
            .members
            .all()
            .filter_map(|(_, member)| match member.identity() {
                Identity::Service(service, _) => Some(*service),
                _ => None,
            })
            .collect();
        let callers: HashSet<ServiceId> = self.processes.all().map(|(_, process)| process.service).collect();
        self.edges.retain(|from, to| {
            let from_is_there = match from {
                Caller::Service(service) => of_members.contains(&service) || callers.contains(&service),
                Caller::Queue(queue) => !members.contains(&queue),
            };
            from_is_there && !members.contains(&to)
        });
        self.processes.retire_services(|service| of_members.contains(&service));
    }
}
