//! The ladder of scaling phases that warnings and verdicts map to.
//!
//! A system is put in a phase by its symptoms, never by a head count; head counts are given
//! because people ask, and as ranges because the usual roadmaps differ.

use serde::{Deserialize, Serialize};

/// One step of growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// One instance serves everything.
    SingleBox,
    /// Several instances behind a balancer; single points of failure show.
    WebTier,
    /// Reads outgrow the database.
    DatabaseReads,
    /// Load swings by several times; capacity must follow.
    Spikes,
    /// Writes saturate the primary; heavy work leaves the request.
    Writes,
    /// Services and regions scale apart.
    Regions,
}

/// What there is to say about a phase.
#[derive(Clone, Copy, Debug)]
pub struct PhaseText {
    /// The phase.
    pub phase: Phase,
    /// Its number, 1 to 6.
    pub number: u8,
    /// Its short name.
    pub name: &'static str,
    /// How many users the usual roadmaps put here.
    pub users: &'static str,
    /// The wall that shows one has come here.
    pub symptom: &'static str,
    /// What to do, in the words of the cloud provider.
    pub remedy: &'static str,
    /// What stands once it is done.
    pub outcome: &'static str,
}

/// The ladder, in order.
pub const LADDER: [PhaseText; 6] = [
    PhaseText {
        phase: Phase::SingleBox,
        number: 1,
        name: "single box",
        users: "1 to 10 thousand users",
        symptom: "one instance serves everything; its CPU, memory or disk is near its end; one instance gone, all gone",
        remedy: "split the tiers: database to RDS/Aurora, uploads and static files to S3; a bigger instance as first aid",
        outcome: "app and database scale apart",
    },
    PhaseText {
        phase: Phase::WebTier,
        number: 2,
        name: "web tier",
        users: "10 to 100 thousand users",
        symptom: "web or app instances saturate in spikes; errors when one instance or zone goes; all instances in one zone",
        remedy: "Application Load Balancer with health checks over stateless instances in two or more zones; Multi-AZ standby; static files to S3 behind CloudFront",
        outcome: "any one instance or zone may fail",
    },
    PhaseText {
        phase: Phase::DatabaseReads,
        number: 3,
        name: "database reads",
        users: "100 to 500 thousand users",
        symptom: "reads dominate; database near its end; hit rate low or falling; replicas absent, lagging or lost",
        remedy: "ElastiCache for hot reads and sessions; read replicas behind an internal balancer; index or fix the one slow query",
        outcome: "the primary does writes, the cache takes the reads",
    },
    PhaseText {
        phase: Phase::Spikes,
        number: 4,
        name: "spikes",
        users: "500 thousand to 1 million users",
        symptom: "load swings by several times within minutes; queues at the balancer while new instances warm up; or a fleet far below its target use",
        remedy: "Auto Scaling on CPU, latency or requests per target; shed load at the balancer and serve stale while instances warm up; session state off the instances",
        outcome: "capacity follows load",
    },
    PhaseText {
        phase: Phase::Writes,
        number: 5,
        name: "writes",
        users: "1 to 10 million users",
        symptom: "writes saturate the primary; lock waits; queue depth or age growing; heavy work inside the request",
        remedy: "queue and workers (SQS, SNS, Lambda); federation and sharding; DynamoDB for data without relations; archive old rows to Redshift",
        outcome: "writes spread out, requests stay short",
    },
    PhaseText {
        phase: Phase::Regions,
        number: 6,
        name: "services and regions",
        users: "beyond 10 million users",
        symptom: "one service's load or deploys hold the others back; one region's limits or latency",
        remedy: "split into services with a balancer in front of each; several regions; tracing across services",
        outcome: "services and regions scale apart",
    },
];

impl Phase {
    /// What there is to say about this phase.
    pub fn text(self) -> &'static PhaseText {
        &LADDER[self as usize]
    }

    /// Its number, 1 to 6.
    pub fn number(self) -> u8 {
        self.text().number
    }

    /// Its short name, such as "database reads".
    pub fn name(self) -> &'static str {
        self.text().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_in_order_and_every_phase_finds_its_own_text() {
        for (place, text) in LADDER.iter().enumerate() {
            assert_eq!(usize::from(text.number), place + 1);
            assert_eq!(text.phase.text().number, text.number);
            assert_eq!(text.phase.name(), text.name);
        }
    }
}
