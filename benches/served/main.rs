//! Humbaba, as it is released, against servers that do less or do it otherwise, in one run.
//!
//! `cargo bench --bench served` measures everything and prints tables in Markdown;
//! `cargo bench --bench served -- --help` tells how to measure a part.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod baselines;
mod compare;
mod grow;
mod load;
mod machine;
mod process;
mod reload;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::{fs, path::PathBuf, str::FromStr};

use clap::Parser as _;
use prost::Message;

use self::{baselines::Baseline, load::Shape, wire::Question};

/// Like the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure the released server.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    part: Vec<Part>,
    /// Closed loops: connections × questions in flight on each
    #[arg(long, value_delimiter = ',', default_value = "1x1,1x32,8x1,8x32,64x1,64x32")]
    only: Vec<ShapeArgument>,
    /// The servers to compare with
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Baseline::ALL)]
    against: Vec<Baseline>,
    /// Other builds of Humbaba to compare with
    #[arg(long, value_name = "BINARY", value_delimiter = ',')]
    versus: Vec<PathBuf>,
    /// How often each measurement is made; medians are told
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Calls a second where the rate is fixed
    #[arg(long, default_value_t = 4_000.0)]
    rate: f64,
    /// One short round of a single loop and of 8x32
    #[arg(long)]
    quick: bool,
    /// Write the question as h2load sends it and end
    #[arg(long, value_name = "FILE")]
    write_question: Option<PathBuf>,
    /// Be one of the servers to compare with
    #[arg(long, hide = true, requires = "listen")]
    serve: Option<Baseline>,
    #[arg(long, hide = true)]
    listen: Option<String>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Closed loops against all servers
    Load,
    /// A fixed rate against all servers
    Rate,
    /// Start, memory and size
    Process,
    /// More policies, links, stores, assignments and entities
    Growth,
    /// Batches of sizes and kinds
    Batch,
    /// Reloading 10,000 policies
    Reload,
}

impl Part {
    const ALL: [Self; 6] =
        [Self::Load, Self::Rate, Self::Process, Self::Growth, Self::Batch, Self::Reload];
}

#[derive(Debug, Clone, Copy)]
struct ShapeArgument(Shape);

impl FromStr for ShapeArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('x').and_then(|(connections, in_flight)| {
            let connections = connections.parse().ok()?;
            Some(Self(Shape { connections, in_flight: in_flight.parse().ok()? }))
        });
        parsed.ok_or("write connections and questions in flight, e.g. 8x32")
    }
}

fn main() {
    let mut arguments = Arguments::parse();
    if let (Some(baseline), Some(listen)) = (arguments.serve, &arguments.listen) {
        baseline.serve(listen);
        return;
    }
    let question = single(&support::question());
    if let Some(path) = &arguments.write_question {
        fs::write(path, &question.body).expect("the question is written");
        return;
    }
    if arguments.quick {
        arguments.rounds = 1;
        arguments.seconds = 0.5;
        arguments.only.retain(|shape| {
            matches!(
                shape.0,
                Shape { connections: 1, in_flight: 1 } | Shape { connections: 8, in_flight: 32 }
            )
        });
    }
    println!("{}", machine::description());
    let plan = compare::Plan {
        rounds: arguments.rounds,
        time: std::time::Duration::from_secs_f64(arguments.seconds),
        rate: arguments.rate,
        shapes: arguments.only.iter().map(|shape| shape.0).collect(),
        against: arguments.against.clone(),
        versus: arguments.versus.clone(),
    };
    for part in &arguments.part {
        match part {
            Part::Load => compare::closed(&plan, &question),
            Part::Rate => compare::fixed_rate(&plan, &question),
            Part::Process => machine::process(&plan, &question),
            Part::Growth => grow::all(&plan),
            Part::Batch => grow::batches(&plan),
            Part::Reload => reload::all(&plan, &question),
        }
    }
}

/// One question, to which the answer must be an allow.
fn single(question: &humbaba::proto::IsAuthorizedRequest) -> Question {
    prepared("IsAuthorized", question, &[0x08, 0x01])
}

/// A batch, to which the answer must begin with an item.
fn batch(question: &humbaba::proto::BatchIsAuthorizedRequest) -> Question {
    prepared("BatchIsAuthorized", question, &[0x0a])
}

fn prepared(method: &'static str, message: &impl Message, answer: &'static [u8]) -> Question {
    let mut body = vec![0];
    body.extend(u32::try_from(message.encoded_len()).expect("a small message").to_be_bytes());
    body.extend(message.encode_to_vec());
    Question { body: body.into(), method, answer }
}
