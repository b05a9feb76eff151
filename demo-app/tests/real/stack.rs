//! The real servers of a test: those that `stack.sh` starts for it, or those that the environment names.

use std::path::{Path, PathBuf};
use std::process::Command;

use tiertop_demo::Servers;
use tokio::sync::{Mutex, MutexGuard};

/// Held while a test has servers: they take the machine's memory, and given ones serve one demo at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Servers that are there until this is dropped.
pub(crate) struct Stack {
    pub(crate) servers: Servers,
    /// What the script keeps them in, where it started them.
    folder: Option<PathBuf>,
    _turn: MutexGuard<'static, ()>,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        if let Ok(servers) = Servers::from_env() {
            return Self { servers, folder: None, _turn: turn };
        }
        // The script makes the folder, so that the servers' own user may go into it.
        let name = format!("tiertop-stack-{:016x}", rand::random::<u64>());
        let folder = std::env::temp_dir().join(name);
        let started = script(&folder, "start");
        let stack = |servers| Self { servers, folder: Some(folder.clone()), _turn: turn };
        if let Err(why) = started {
            let _ = script(&folder, "wipe");
            panic!("the real servers do not start: {why}");
        }
        stack(Servers::from_file(&folder.join("env")).unwrap())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder
            && let Err(why) = script(folder, "wipe")
        {
            eprintln!("the real servers do not end: {why}");
        }
    }
}

fn script(folder: &Path, order: &str) -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/stack/stack.sh");
    let mut command = Command::new(script);
    command.arg(order).env("TIERTOP_STACK_DIR", folder).env_remove("TIERTOP_STACK_PORT");
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn the_script_neither_uses_nor_removes_a_folder_that_it_did_not_make() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "mine").unwrap();
    for order in ["start", "wipe"] {
        let why = script(folder.path(), order).unwrap_err();
        assert!(why.contains(folder.path().to_str().unwrap()), "{order}: {why}");
    }
    assert!(precious.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_script_ends_no_process_that_a_file_left_behind_names_by_chance() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("port"), "20000").unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    for (server, file) in [("primary", "postmaster.pid"), ("cache-a", "redis.pid")] {
        std::fs::create_dir(folder.path().join(server)).unwrap();
        std::fs::write(folder.path().join(server).join(file), format!("{}\n", other.id())).unwrap();
    }
    script(folder.path(), "stop").unwrap();
    let lives = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(lives, "a process of somebody else was ended");
}
