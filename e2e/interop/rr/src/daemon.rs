//! `daemon`: two processes with one identity. If one exits, both end.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::options::Options;
use crate::{Outcome, print_line};

/// `p2p-sync` starts this long after `p2p-serve`.
const SYNC_DELAY: Duration = Duration::from_secs(2);

/// Delay before a service manager starts an ended daemon again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// With `--service-manager` an ended daemon starts again, as under systemd and launchd.
pub fn run(options: &Options) -> Outcome<ExitCode> {
    // Both processes use the same file.
    options.identity()?;
    options.store()?;
    loop {
        let mut serve = start(&["p2p-serve"])?;
        sleep(SYNC_DELAY);
        let mut sync = start(&["p2p-sync", "--watch", "--push"])?;
        while serve.try_wait()?.is_none() && sync.try_wait()?.is_none() {
            sleep(CHECK_INTERVAL);
        }
        end(&mut serve);
        end(&mut sync);
        print_line(json!({ "msg": "daemon ended" }));
        if !options.has("--service-manager") {
            return Ok(ExitCode::FAILURE);
        }
        sleep(RESTART_DELAY);
    }
}

/// Starts this program with another command and the same options.
fn start(command: &[&str]) -> Outcome<Child> {
    let shared = std::env::args()
        .skip(2)
        .filter(|name| name != "--service-manager");
    let mut process = Command::new(std::env::current_exe()?);
    process.args(command).args(shared);
    // SAFETY: prctl is safe to call between fork and exec.
    unsafe {
        process.pre_exec(|| {
            // The children of a killed daemon end with it.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    Ok(process.spawn()?)
}

fn end(process: &mut Child) {
    // This fails if the process has ended.
    let _ = process.kill();
    let _ = process.wait();
}
