//! A stand-in for `rr` clients. It is built twice, on the rust-libp2p of each generation: `gen1` behaves like 1.x, `gen01`
//! like 0.1. `../README.md` says what is imitated; `../../rr-device.ts` documents the command line and the output.

mod answers;
mod clock;
mod daemon;
mod exchange;
mod local;
mod node;
mod options;
mod reach;
mod serve;
mod store;
mod sync;
mod tracker;
mod wire;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use options::Options;
use serde_json::{Value, json};

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Outcome<T> = Result<T, Failure>;

/// Whether this build is the generation 1.x.
pub const IS_GEN1: bool = cfg!(feature = "gen1");

/// The version in the registration and in the user agent.
pub const VERSION: &str = if IS_GEN1 { "1.1.1" } else { "0.1.0" };

/// Prints one JSON line with one write, so that the lines of both processes of a daemon do not mix.
pub fn print_line(line: Value) {
    let mut out = std::io::stdout().lock();
    // Writing fails if the runner has exited.
    let _ = out.write_all(format!("{line}\n").as_bytes());
    let _ = out.flush();
}

/// The message of an error and of all its causes. The messages of libp2p often only describe the outermost layer.
pub fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            let line = json!({ "msg": "error", "reason": explain(error.as_ref()) });
            eprintln!("{line}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<ExitCode> {
    let options = Options::read(std::env::args().skip(1))?;
    clock::shift(options.number_or("--clock", 0)?);
    match options.command.as_str() {
        "daemon" => daemon::run(&options),
        "p2p-serve" => tokio::runtime::Runtime::new()?.block_on(serve::run(&options)),
        "p2p-sync" => tokio::runtime::Runtime::new()?.block_on(sync::run(&options)),
        command => local::run(command, &options),
    }
}
