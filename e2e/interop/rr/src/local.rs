//! The commands that use no network: `peer-id`, `record`, `delete` and `entries`.

use std::fs;
use std::process::ExitCode;

use serde_json::json;

use crate::options::Options;
use crate::tracker::unix_seconds;
use crate::wire::{Deletion, Entry};
use crate::{IS_GEN1, Outcome, print_line};

pub fn run(command: &str, options: &Options) -> Outcome<ExitCode> {
    match command {
        "peer-id" => {
            let peer_id = options.identity()?.public().to_peer_id().to_string();
            print_line(json!({ "msg": "identity", "peer_id": peer_id }));
        }
        "record" => {
            let entries: Vec<Entry<i64>> =
                serde_json::from_slice(&fs::read(options.text("--entries")?)?)?;
            let counts = options.store()?.apply(&entries, &[])?;
            print_line(
                json!({ "msg": "recorded", "inserted": counts.inserted, "ignored": counts.ignored }),
            );
        }
        "delete" => {
            let deletion = Deletion {
                entry_id: options.text("--entry-id")?.into(),
                user_id: options.text("--user")?.into(),
                device_id: options.text("--device")?.into(),
                deleted_at: unix_seconds(),
            };
            let counts = options.store()?.apply(&[], &[deletion])?;
            print_line(json!({ "msg": "deleted", "entries": counts.deletion_deleted }));
        }
        "entries" => print_entries(options)?,
        other => return Err(format!("Unknown command \"{other}\".").into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_entries(options: &Options) -> Outcome<()> {
    let store = options.store()?;
    for (_, entry) in store.entries_after(0, i64::MAX, None)? {
        print_line(json!({ "msg": "entry", "entry": entry }));
    }
    if IS_GEN1 {
        for (_, deletion) in store.deletions_after(0, i64::MAX, None)? {
            print_line(json!({ "msg": "deletion", "deletion": deletion }));
        }
    }
    Ok(())
}
