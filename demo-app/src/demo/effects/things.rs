//! What an effect changes: two faults at once may not change the same thing, since neither could be put
//! back without the other.

use std::fmt;

use crate::demo::fleet::Fleet;
use crate::fault::Effect;
use crate::topology::Role;

/// Something that one fault at a time changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// Whether an instance's process runs, and which.
    Process(String),
    /// How many instances of a role there are.
    Count(Role),
    /// Something that is turned in all instances of a role.
    Of(Role, &'static str),
    /// Something of the demo as a whole.
    Whole(&'static str),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(name) => write!(f, "the process of {name}"),
            Self::Count(role) => write!(f, "the number of {role:?} instances"),
            Self::Of(role, what) => write!(f, "the {what} of {role:?} instances"),
            Self::Whole(what) => write!(f, "the {what}"),
        }
    }
}

/// Returns what an effect changes in a fleet as it is.
pub(crate) fn touches(fleet: &Fleet, effect: &Effect) -> Vec<Thing> {
    let thing = match effect {
        Effect::ForgetCache { .. } => Thing::Whole("cache's entries"),
        Effect::HotKey { .. } => Thing::Whole("most popular content"),
        Effect::HoldReplay { .. } => Thing::Of(Role::Replica, "replay"),
        Effect::BurningQueries { .. } => Thing::Of(Role::Primary, "processor"),
        Effect::HoldLock { .. } => Thing::Of(Role::Primary, "lock"),
        Effect::ShrinkPool { .. } => Thing::Of(Role::App, "pools"),
        Effect::DropIndex { .. } => Thing::Of(Role::Primary, "index"),
        Effect::Poison { .. } => Thing::Whole("messages in the queue"),
        Effect::BurnCpu { role, .. } => Thing::Of(*role, "processor"),
        Effect::Uneven { .. } => Thing::Of(Role::LoadBalancer, "balance"),
        Effect::Spike { .. } => Thing::Whole("load's size"),
        Effect::Wave { .. } => Thing::Whole("load's swing"),
        Effect::ShiftMix { .. } => Thing::Whole("load's mix"),
        Effect::WireDelay { from, .. } => Thing::Of(*from, "wires"),
        Effect::Slow { role, .. } => Thing::Of(*role, "service time"),
        Effect::FillDisk { .. } => Thing::Of(Role::Primary, "disk"),
        Effect::Scale { role, .. } => Thing::Count(*role),
        Effect::Leak { role, .. } => Thing::Of(*role, "memory"),
        Effect::Sample { .. } => Thing::Whole("sampling"),
        Effect::Kill { .. }
        | Effect::Freeze { .. }
        | Effect::KillZone(_)
        | Effect::FreezeZone(_)
        | Effect::Pauses { .. }
        | Effect::Deploy { .. }
        | Effect::Failover { .. } => {
            return processes(fleet, effect).into_iter().map(Thing::Process).collect();
        }
    };
    vec![thing]
}

/// Returns the instances whose processes an effect ends, stops or replaces.
pub(super) fn processes(fleet: &Fleet, effect: &Effect) -> Vec<String> {
    let last = |role: Role, count: usize| {
        let names = fleet.names(role);
        let from = names.len().saturating_sub(count);
        names[from..].to_vec()
    };
    match effect {
        Effect::Kill { role, count } | Effect::Freeze { role, count } => {
            fleet.names(*role).into_iter().take(*count).collect()
        }
        Effect::KillZone(zone) | Effect::FreezeZone(zone) => fleet.names_in(*zone),
        Effect::Pauses { role, .. } => last(*role, 1),
        Effect::Deploy { role, count, .. } => last(*role, *count),
        Effect::Failover { .. } => {
            [Role::Primary, Role::Standby].into_iter().flat_map(|role| fleet.names(role)).collect()
        }
        _ => Vec::new(),
    }
}
