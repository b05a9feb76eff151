//! What is done to a server once, while somebody waits for it.
//!
//! Orders to a node are carried out before they are answered, by code that does not wait as tasks do. So an
//! errand runs on a thread and a runtime of its own, over a connection of its own.

use std::time::Duration;

/// Longest wait for a server; the parent waits longer for the node.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs an errand and returns once it is done; the error says why it is not.
pub(super) fn run<F>(errand: F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send,
{
    let on_thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let in_time = async { tokio::time::timeout(PATIENCE, errand).await };
        match runtime.map(|runtime| runtime.block_on(in_time)) {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(format!("the server took longer than {PATIENCE:?}")),
            Err(error) => Err(error.to_string()),
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(on_thread).join().unwrap_or_else(|_| Err("the errand was given up".to_owned()))
    })
}
