//! The simulation sends what the real services send: the same spans and metrics, with the same attributes.

use std::time::SystemTime;

use tiertop_demo::scenario::Scenario;
use tiertop_demo::sim::Simulation;
use tiertop_demo::sim::shapes::Shapes;

use crate::{MACHINE, received};

const SCENARIO: &str = r#"
    name = "shapes"
    phase = 5
    duration = "10s"
    [load]
    rate = 40.0
    reads_per_write = 4.0
    [settings]
    cache_ttl = "3s"
"#;

/// Metrics that only the real services send: service, name, and why the simulation does not.
const UNSIMULATED: [(&str, &str, &str); 2] = [
    ("content-db-replica", "db.lock.wait_time", "nobody but the applier writes to a replica, and it never waits"),
    ("content-db-standby", "db.lock.wait_time", "nobody but the applier writes to a standby, and it never waits"),
];

#[tokio::test]
async fn the_simulation_has_the_shapes_of_the_real_services() {
    let scenario = Scenario::parse(SCENARIO).unwrap();
    let (mut real, mut simulated) = (Shapes::default(), Shapes::default());
    let _alone = MACHINE.lock().await;
    let (_, exports, _, demo) = received(&scenario).await;
    demo.stop().await.unwrap();
    for export in &exports {
        real.take(export);
    }
    for export in Simulation::new(&scenario, SystemTime::now()).unwrap() {
        simulated.take(&export);
    }

    // Whether something fails is chance: on a busy machine somebody waits too long.
    for shapes in [&mut real, &mut simulated] {
        shapes.spans.retain(|(.., keys)| !keys.contains("error.type"));
    }
    let mut different: Vec<String> = Vec::new();
    different.extend(real.spans.difference(&simulated.spans).map(|shape| format!("only real: {shape:?}")));
    different.extend(simulated.spans.difference(&real.spans).map(|shape| format!("only simulated: {shape:?}")));
    let may_lack =
        |service: &str, metric: &str| UNSIMULATED.iter().any(|(of, name, _)| (*of, *name) == (service, metric));
    let lacking = real.metrics.difference(&simulated.metrics).filter(|(service, name, ..)| !may_lack(service, name));
    different.extend(lacking.map(|shape| format!("only real: {shape:?}")));
    different.extend(simulated.metrics.difference(&real.metrics).map(|shape| format!("only simulated: {shape:?}")));
    assert!(different.is_empty(), "{}", different.join("\n"));
}
