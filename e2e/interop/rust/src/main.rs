//! A program of the interop matrix with published rust-libp2p, built like released `rr` clients. `../programs.ts`
//! documents the command line and the output.

#[cfg(feature = "newest")]
extern crate libp2p_newest as libp2p;
#[cfg(feature = "released")]
extern crate libp2p_released as libp2p;
#[cfg(feature = "newest")]
extern crate mplex_newest as libp2p_mplex;
#[cfg(feature = "released")]
extern crate mplex_released as libp2p_mplex;

mod bulk;
mod node;
mod options;
mod push;
mod relay;
mod repeat;
mod requester;
mod responder;
mod sync;
mod tracker;
mod usage;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use options::Options;
use serde_json::{Value, json};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Prints one JSON line, which the runner of the matrix reads.
pub fn print_line(line: Value) {
    let mut out = std::io::stdout().lock();
    // Writing fails if the runner has exited.
    let _ = writeln!(out, "{line}");
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "{}",
                json!({ "msg": "error", "reason": explain(error.as_ref()) })
            );
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let options = Options::read(std::env::args().skip(1))?;
    match options.command.as_str() {
        "reserve" | "serve" => responder::run(&options).await,
        "dial" | "pull" | "push" | "bulk" => requester::run(&options).await,
        "sync" => repeat::run(&options).await,
        "relay" => relay::run(&options).await,
        "register" => tracker::register(&options),
        "list" => tracker::list(&options),
        other => Err(format!("Unknown command \"{other}\".").into()),
    }
}
