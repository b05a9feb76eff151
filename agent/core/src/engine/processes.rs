//! The processes that send telemetry, and the services they are instances of.
//!
//! A process is told by the fingerprint of its resource; a service by namespace and name. For each
//! process the engine keeps what the pipeline screen says of a source: counts, how long after their
//! end its spans arrive, and its silence.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::members::MemberId;
use crate::observation::Resource;
use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// Index of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ProcessId(pub(crate) u32);

/// Index of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServiceId(pub(crate) u32);

/// One process that sends.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    retired: bool,
    pub(crate) resource: Resource,
    pub(crate) service: ServiceId,
    pub(crate) spans: u64,
    pub(crate) points: u64,
    pub(crate) late: u64,
    pub(crate) first_seen: UnixNanos,
    pub(crate) last_seen: UnixNanos,
    /// The longest pause between two batches, lately.
    pub(crate) pause_nanos: f64,
    pub(crate) delay: Delay,
    /// The rows of the catalogue by which its duration histograms are read.
    pub(crate) duration_rows: Vec<usize>,
    /// Requests in progress as it reports them, by series, with the time of the report.
    pub(crate) active_requests: Vec<(u64, UnixNanos, f64)>,
}

/// A service: what several processes are instances of.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    /// Its requests, once it took one.
    pub(crate) serves: Option<MemberId>,
    /// Its messages, once it took one.
    pub(crate) processes: Option<MemberId>,
    /// Its work without an entry span, once it did some.
    pub(crate) background: Option<MemberId>,
}

/// How long after their end spans arrive: the upper end of what was seen, forgetting slowly.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delay {
    nanos: f64,
    seen: bool,
}

impl Delay {
    /// Takes note of a span that arrived so long after its end.
    pub(crate) fn observe(&mut self, nanos: u64) {
        self.nanos = self.nanos.max(nanos as f64);
        self.seen = true;
    }

    /// Forgets 5 % a second, so that one hiccup is forgiven within a minute.
    pub(crate) fn decay(&mut self) {
        self.nanos *= 0.95;
    }

    /// In seconds, or `None` before the first span.
    pub(crate) fn seconds(self) -> Option<f64> {
        self.seen.then_some(self.nanos / NANOS_PER_SECOND as f64)
    }
}

/// All processes and services.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    list: Vec<Process>,
    services: Vec<Service>,
    /// Places of processes that were retired.
    free: Vec<ProcessId>,
    /// Places of services that were retired.
    free_services: Vec<ServiceId>,
    by_fingerprint: HashMap<u64, ProcessId, FixedState>,
    by_name: HashMap<(Box<str>, Box<str>), ServiceId, FixedState>,
    /// Resources that came after the table was full and were folded into the last process.
    pub(crate) folded: u64,
}

impl Processes {
    /// The process of this resource, made if it is new. Over `limit`, new ones are folded into one.
    pub(crate) fn resolve(&mut self, resource: &Resource, limit: usize, now: UnixNanos) -> ProcessId {
        if let Some(id) = self.by_fingerprint.get(&resource.fingerprint) {
            return *id;
        }
        if self.len() >= limit.max(1) {
            self.folded += 1;
            return self.fold(now);
        }
        let id = self.add(resource.clone(), now);
        self.by_fingerprint.insert(resource.fingerprint, id);
        id
    }

    fn fold(&mut self, now: UnixNanos) -> ProcessId {
        let folded = Resource { service_name: "other".into(), ..Resource::default() };
        if let Some(id) = self.by_fingerprint.get(&folded.fingerprint) {
            return *id;
        }
        let id = self.add(folded, now);
        self.by_fingerprint.insert(0, id);
        id
    }

    fn add(&mut self, resource: Resource, now: UnixNanos) -> ProcessId {
        let service = self.service(&resource);
        let process = Process {
            retired: false,
            resource,
            service,
            spans: 0,
            points: 0,
            late: 0,
            first_seen: now,
            last_seen: now,
            pause_nanos: 0.0,
            delay: Delay::default(),
            duration_rows: Vec::new(),
            active_requests: Vec::new(),
        };
        if let Some(id) = self.free.pop() {
            self.list[id.0 as usize] = process;
            return id;
        }
        self.list.push(process);
        ProcessId(self.list.len() as u32 - 1)
    }

    /// Processes there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len() - self.free.len()
    }

    /// Forgets a process; its place is used again. Nothing may point to it any more.
    pub(crate) fn retire(&mut self, id: ProcessId) {
        let process = &mut self.list[id.0 as usize];
        if !process.retired {
            process.retired = true;
            self.by_fingerprint.remove(&process.resource.fingerprint);
            self.free.push(id);
        }
    }

    /// Forgets the services that no process and no member is of, as `is_needed` says.
    pub(crate) fn retire_services(&mut self, is_needed: impl Fn(ServiceId) -> bool) {
        let needed =
            |id: ServiceId| is_needed(id) || self.list.iter().any(|process| !process.retired && process.service == id);
        let gone: Vec<ServiceId> = self.by_name.values().copied().filter(|id| !needed(*id)).collect();
        self.by_name.retain(|_, id| !gone.contains(id));
        self.free_services.extend(gone);
    }

    fn service(&mut self, resource: &Resource) -> ServiceId {
        let namespace = resource.service_namespace.clone().unwrap_or_default();
        let name: Box<str> =
            if resource.service_name.is_empty() { "unnamed".into() } else { resource.service_name.clone() };
        let (services, free) = (&mut self.services, &mut self.free_services);
        *self.by_name.entry((namespace.clone(), name.clone())).or_insert_with(|| {
            let service = Service { namespace, name, serves: None, processes: None, background: None };
            if let Some(id) = free.pop() {
                services[id.0 as usize] = service;
                return id;
            }
            services.push(service);
            ServiceId(services.len() as u32 - 1)
        })
    }

    pub(crate) fn get(&self, id: ProcessId) -> &Process {
        &self.list[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: ProcessId) -> &mut Process {
        &mut self.list[id.0 as usize]
    }

    pub(crate) fn service_of(&self, id: ProcessId) -> &Service {
        &self.services[self.get(id).service.0 as usize]
    }

    pub(crate) fn service_of_mut(&mut self, id: ProcessId) -> &mut Service {
        let service = self.get(id).service;
        &mut self.services[service.0 as usize]
    }

    pub(crate) fn get_service(&self, id: ServiceId) -> &Service {
        &self.services[id.0 as usize]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        let all = self.list.iter().enumerate().map(|(index, process)| (ProcessId(index as u32), process));
        all.filter(|(_, process)| !process.retired)
    }

    /// What the processes of a service send under.
    pub(crate) fn resources_of(&self, service: ServiceId) -> impl Iterator<Item = &Resource> {
        self.all().filter(move |(_, process)| process.service == service).map(|(_, process)| &process.resource)
    }

    /// Unties services from members that were retired.
    pub(crate) fn untie(&mut self, is_gone: impl Fn(MemberId) -> bool) {
        for service in &mut self.services {
            for side in [&mut service.serves, &mut service.processes, &mut service.background] {
                *side = side.filter(|member| !is_gone(*member));
            }
        }
    }

    /// Takes note of a batch from a process.
    pub(crate) fn heard_from(&mut self, id: ProcessId, now: UnixNanos) {
        let process = self.get_mut(id);
        let pause = now.nanos_since(process.last_seen) as f64;
        process.pause_nanos = pause.max(process.pause_nanos * 0.98);
        process.last_seen = now;
    }

    /// Lets the memory of delays fade; once a second.
    pub(crate) fn tick(&mut self) {
        for process in &mut self.list {
            process.delay.decay();
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.list.capacity() * (size_of::<Process>() + 256) + self.services.capacity() * (size_of::<Service>() + 64)
    }
}

impl Process {
    /// The longest pause that this process usually makes between batches, at least 5 s.
    pub(crate) fn usual_pause_s(&self) -> f64 {
        (self.pause_nanos / NANOS_PER_SECOND as f64).clamp(5.0, 120.0)
    }

    /// Seconds of silence beyond what is usual, or `None` while it is heard from.
    pub(crate) fn silent_for_s(&self, now: UnixNanos) -> Option<u64> {
        let silence = now.seconds_since(self.last_seen);
        (silence > 2.0 * self.usual_pause_s()).then_some(silence as u64)
    }

    /// What to call this instance.
    pub(crate) fn instance_name(&self) -> &str {
        self.resource.instance.as_deref().unwrap_or(&self.resource.service_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(fingerprint: u64, name: &str) -> Resource {
        Resource { fingerprint, service_name: name.into(), ..Resource::default() }
    }

    #[test]
    fn processes_of_one_name_are_instances_of_one_service() {
        let mut processes = Processes::default();
        let now = UnixNanos::from_seconds(100);
        let one = processes.resolve(&resource(1, "app"), 10, now);
        let two = processes.resolve(&resource(2, "app"), 10, now);
        assert_ne!(one, two);
        assert_eq!(processes.get(one).service, processes.get(two).service);
        assert_eq!(processes.resolve(&resource(1, "app"), 10, now), one);
    }

    #[test]
    fn over_the_limit_new_processes_are_folded_and_counted() {
        let mut processes = Processes::default();
        let now = UnixNanos::from_seconds(100);
        processes.resolve(&resource(1, "app"), 1, now);
        let folded = processes.resolve(&resource(2, "more"), 1, now);
        assert_eq!(processes.resolve(&resource(3, "still more"), 1, now), folded);
        assert_eq!((&*processes.service_of(folded).name, processes.folded), ("other", 2));
    }

    #[test]
    fn silence_is_measured_against_the_usual_pause() {
        let mut processes = Processes::default();
        let id = processes.resolve(&resource(1, "app"), 10, UnixNanos::from_seconds(0));
        for second in [60, 120] {
            processes.heard_from(id, UnixNanos::from_seconds(second));
        }
        assert_eq!(processes.get(id).silent_for_s(UnixNanos::from_seconds(200)), None, "it sends every 60 s");
        assert_eq!(processes.get(id).silent_for_s(UnixNanos::from_seconds(300)), Some(180));
    }
}
