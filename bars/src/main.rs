//! Measures narthex against its bars, one command each, always in a release build:
//!
//! ```text
//! cargo run --release -p narthex-bars -- disk [d1|d4|d4-jitter|d15] --realdata DIR [--prometheus BINARY]
//! cargo run --release -p narthex-bars -- k8s [--prometheus BINARY]
//! cargo run --release -p narthex-bars -- compacted [--realdata DIR]
//! cargo run --release -p narthex-bars -- ingest [stable|random|churn|new-series|commit-latency]
//! cargo run --release -p narthex-bars -- backfill [late|one-series|all-series|newest-first|scattered] [--head-mib 64]
//! cargo run --release -p narthex-bars -- latency
//! cargo run --release -p narthex-bars -- busy
//! cargo run --release -p narthex-bars -- read [whole|one|head|match] [--realdata DIR]
//! cargo run --release -p narthex-bars -- cardinality
//! cargo run --release -p narthex-bars -- parser
//! cargo run --release -p narthex-bars -- memory
//! cargo run --release -p narthex-bars -- restart [--ticks 6,120,480]
//! cargo run --release -p narthex-bars -- large
//! cargo run --release -p narthex-bars -- simulation [--days 365]
//! cargo run --release -p narthex-bars -- http [a|b|c|d|e|always|v2] [--prometheus BINARY] [--victoria BINARY]
//! cargo run --release -p narthex-bars -- native
//! cargo run --release -p narthex-bars -- logs
//! cargo run --release -p narthex-bars -- formats --realdata DIR
//! cargo run --release -p narthex-bars -- remote-read [--prometheus BINARY]
//! cargo run --release -p narthex-bars -- blocks [--promtool BINARY] [--vmctl BINARY --victoria BINARY]
//! cargo run --release -p narthex-bars -- rollups
//! cargo run --release -p narthex-bars -- soak [--minutes 60] [--curves FILE.svg]
//! cargo run --release -p narthex-bars -- oracle-long
//! cargo run --release -p narthex-bars -- all --small
//! ```
//!
//! Each prints a table of figures with the bar behind them and ends with 1 when a bar is missed or anything read back
//! is wrong. `--small` shrinks every data set to seconds of work and judges correctness only, never a time or a size.
//! At full scale `read`, `memory` and `restart` make a million series and want about 6 GB of memory and a quiet
//! machine of two cores; `--work DIR` says where their files go (default: the system's temporary folder). `large` and
//! `simulation` write some two thousand million samples each and take a quarter of an hour; they judge by CPU time, and
//! want a folder on a disk, with 3 GB free.
//!
//! Recorded data (`--realdata`, or `NARTHEX_REALDATA`) is described in `realdata.rs`. The generated sets are those of
//! `fleet.rs` (hosts with node exporters) and `kubernetes/` (pods with histograms); both depend on nothing but a seed.
//! `scripts/get-peers.sh DIR` fetches a Prometheus to compare with (`--prometheus DIR/usr/bin/prometheus`, or
//! `NARTHEX_PROMETHEUS`): it runs on loopback in a temporary folder, gets the same samples by remote write, and its
//! own blocks are measured.
//!
//! CPU time is what the kernel counted, of one thread or of the process as the table says; memory is
//! RssAnon + RssShmem less what the generator held before the database was opened.

/// The allocator of the `narthex` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod adapter;
mod bar;
mod counted;
mod fleet;
mod hour;
mod kubernetes;
mod measure;
mod peer;
mod realdata;
mod report;
mod rng;

mod steps;
mod workload;
mod year;

use anyhow::Result;
use bar::{
    Scale, backfill, blocks, busy, cardinality, compacted, disk, formats, http, ingest, k8s, large, latency,
    logs, memory, native, oracle, parser, queries, query_limits, read, remote_read, remote_read_http,
    restart, rollups, simulation, soak,
};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Measures narthex against its bars")]
struct Cli {
    /// Little data; judges correctness only.
    #[arg(long, global = true)]
    small: bool,
    /// Where databases are made.
    #[arg(long, global = true)]
    work: Option<PathBuf>,
    #[command(subcommand)]
    bar: Command,
}

/// What is compared with or read, when it is there.
#[derive(Args)]
struct Given {
    /// Folder with the recorded data.
    #[arg(long, env = "NARTHEX_REALDATA")]
    realdata: Option<PathBuf>,
    /// A Prometheus binary to compare with.
    #[arg(long, env = "NARTHEX_PROMETHEUS")]
    prometheus: Option<PathBuf>,
}

/// The servers that are compared.
#[derive(Args)]
struct Servers {
    /// The server; by default the one beside this program.
    #[arg(long, env = "NARTHEX_BINARY")]
    narthex: Option<PathBuf>,
    #[arg(long, env = "NARTHEX_PROMETHEUS")]
    prometheus: Option<PathBuf>,
    #[arg(long, env = "NARTHEX_VICTORIA")]
    victoria: Option<PathBuf>,
}

impl From<Servers> for http::Binaries {
    fn from(servers: Servers) -> Self {
        Self {
            narthex: servers.narthex,
            prometheus: servers.prometheus,
            victoria: servers.victoria,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Bytes per sample of recorded data.
    Disk {
        /// Of d1, d4, d4-jitter and d15; all when none is named.
        cases: Vec<String>,
        #[command(flatten)]
        given: Given,
    },
    /// Bytes per sample of a Kubernetes-like set.
    K8s(Given),
    /// Samples per CPU second.
    Ingest {
        #[arg(value_enum)]
        modes: Vec<ingest::Mode>,
    },
    /// Samples per CPU second of what is older than what is there, and what is left of it.
    Backfill {
        #[arg(value_enum)]
        shapes: Vec<backfill::Shape>,
        /// Memory of the head; the library's default when none is given.
        #[arg(long)]
        head_mib: Option<u64>,
    },
    /// Commit latency in an open loop while segments are written.
    Latency,
    /// Time to read.
    Read {
        #[arg(value_enum)]
        parts: Vec<read::Part>,
        #[command(flatten)]
        given: Given,
    },
    /// Samples per CPU second of a remote read of eight hours, without HTTP and with it beside Prometheus, and the memory it
    /// takes.
    RemoteRead {
        /// The server; by default the one beside this program.
        #[arg(long, env = "NARTHEX_BINARY")]
        narthex: Option<PathBuf>,
        #[arg(long, env = "NARTHEX_PROMETHEUS")]
        prometheus: Option<PathBuf>,
    },
    /// The server under load for an hour, killed now and then: nothing is lost, and nothing grows.
    Soak {
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where the curves are drawn.
        #[arg(long)]
        curves: Option<PathBuf>,
        /// The server; by default the one beside this program.
        #[arg(long, env = "NARTHEX_BINARY")]
        narthex: Option<PathBuf>,
    },
    /// Time to say how many distinct series there are over many segments, and what grew.
    Cardinality,
    /// Time to parse queries, and whether it is linear in their length.
    Parser,
    /// Memory per series.
    Memory {
        /// Samples per series, a run each.
        #[arg(long, value_delimiter = ',', default_values_t = [6, 120])]
        ticks: Vec<usize>,
    },
    /// Time from kill -9 to the first answer.
    Restart {
        /// Samples per series, five kills each.
        #[arg(long, value_delimiter = ',', default_values_t = [6, 120, 480])]
        ticks: Vec<i64>,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Bytes per sample and time to read after merging.
    Compacted(Given),
    /// A virtual year, compared with a model throughout.
    Simulation {
        /// Fewer days for a first look.
        #[arg(long)]
        days: Option<i64>,
    },
    /// Commit latency while segments are merged, dropped, deleted from and copied.
    Busy,
    /// Whether 2.6 thousand million samples are as fast to write and read as the first.
    Large,
    /// Samples per CPU second of the server over HTTP, beside its peers.
    Http {
        #[arg(value_enum, ignore_case = true)]
        loads: Vec<http::Load>,
        #[command(flatten)]
        servers: Servers,
    },
    /// Points, batches and queries of the native API over HTTP.
    Native {
        /// The server; by default the one beside this program.
        #[arg(long, env = "NARTHEX_BINARY")]
        narthex: Option<PathBuf>,
    },
    /// Samples per CPU second of blocks of Prometheus, out and in, beside promtool and vmctl.
    Blocks {
        #[arg(long, env = "NARTHEX_PROMTOOL")]
        promtool: Option<PathBuf>,
        #[arg(long, env = "NARTHEX_VMCTL", requires = "victoria")]
        vmctl: Option<PathBuf>,
        #[arg(long, env = "NARTHEX_VICTORIA")]
        victoria: Option<PathBuf>,
    },
    /// A million lines of logs over HTTP, and searches in them.
    Logs {
        /// The server; by default the one beside this program.
        #[arg(long, env = "NARTHEX_BINARY")]
        narthex: Option<PathBuf>,
    },
    /// Recorded data in every format that comes in, and out of those that go out, compared bit by bit.
    Formats {
        /// Folder with the recorded data.
        #[arg(long, env = "NARTHEX_REALDATA")]
        realdata: Option<PathBuf>,
        /// The server; by default the one beside this program.
        #[arg(long, env = "NARTHEX_BINARY")]
        narthex: Option<PathBuf>,
    },
    /// Memory of large queries, and whether queries that ask for too much disturb anybody.
    QueryLimits {
        /// The server; by default the one beside this program.
        #[arg(long, env = "NARTHEX_BINARY")]
        narthex: Option<PathBuf>,
    },
    /// CPU of the server for queries over HTTP, beside its peers.
    Queries {
        #[arg(value_enum, ignore_case = true)]
        sizes: Vec<queries::Size>,
        /// Only queries with one of these in their names.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        #[command(flatten)]
        servers: Servers,
    },
    /// The long run of the oracle test.
    OracleLong {
        #[arg(long, default_value_t = 10_000_000)]
        operations: u64,
    },
    /// CPU of long queries from rollups and from samples, and what rollups take on disk.
    Rollups {
        /// Fewer series for a first look.
        #[arg(long, default_value_t = 1_000)]
        series: usize,
    },
    /// Every bar but oracle-long, one after the other.
    All(Given),
    /// Fills a server that runs, for looking at it by hand.
    #[command(hide = true)]
    Fill {
        port: u16,
        #[arg(long, default_value_t = 10_000)]
        series: usize,
        #[arg(long, default_value_t = 480)]
        ticks: i64,
    },
    #[command(hide = true)]
    MemoryOne { ticks: usize },
    #[command(hide = true)]
    SimulationLife {
        folder: PathBuf,
        #[arg(long, allow_negative_numbers = true)]
        acked: i64,
        #[arg(long)]
        until: i64,
        #[arg(long)]
        days: i64,
    },
    #[command(hide = true)]
    RemoteReadOne { folder: PathBuf, samples: usize },
    #[command(hide = true)]
    RestartWriter { folder: PathBuf, first_tick: i64 },
    #[command(hide = true)]
    RestartReader { folder: PathBuf, since_ms: i64 },
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let scale = Scale::new(cli.small, cli.work);
    let good = run(&scale, cli.bar)?;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run(scale: &Scale, command: Command) -> Result<bool> {
    match command {
        Command::Disk { cases, given } => disk::run(
            scale,
            given.realdata.as_deref(),
            given.prometheus.as_deref(),
            &cases,
        ),
        Command::K8s(given) => k8s::run(scale, given.prometheus.as_deref()),
        Command::Ingest { modes } => ingest::run(scale, &modes),
        Command::Backfill { shapes, head_mib } => backfill::run(scale, &shapes, head_mib),
        Command::Latency => latency::run(scale),
        Command::Read { parts, given } => read::run(scale, &parts, given.realdata.as_deref()),
        Command::RemoteRead { narthex, prometheus } => {
            remote_reads(scale, narthex.as_deref(), prometheus.as_deref())
        }
        Command::Soak {
            minutes,
            seed,
            curves,
            narthex,
        } => soak::run(scale, minutes, seed, curves.as_deref(), narthex.as_deref()),
        Command::Cardinality => cardinality::run(scale),
        Command::Parser => parser::run(scale),
        Command::Memory { ticks } => memory::run(scale, &ticks),
        Command::Restart { ticks, seed } => restart::run(scale, &ticks, seed),
        Command::Compacted(given) => compacted::run(scale, given.realdata.as_deref()),
        Command::Simulation { days } => simulation::run(scale, days),
        Command::Busy => busy::run(scale),
        Command::Rollups { series } => rollups::run(scale, series),
        Command::Large => large::run(scale),
        Command::Http { loads, servers } => http::run(scale, &loads, &servers.into()),
        Command::Native { narthex } => native::run(scale, narthex.as_deref()),
        Command::Logs { narthex } => logs::run(scale, narthex.as_deref()),
        Command::Formats { realdata, narthex } => {
            formats::run(scale, realdata.as_deref(), narthex.as_deref())
        }
        Command::Blocks {
            promtool,
            vmctl,
            victoria,
        } => {
            let peers = blocks::Peers {
                promtool,
                vmctl,
                victoria,
            };
            blocks::run(scale, &peers)
        }
        Command::QueryLimits { narthex } => query_limits::run(scale, narthex.as_deref()),
        Command::Queries { sizes, only, servers } => queries::run(scale, &sizes, &only, &servers.into()),
        Command::OracleLong { operations } => oracle::run(operations),
        Command::All(given) => all(scale, &given),
        Command::Fill { port, series, ticks } => {
            let sent = http::fill(port, series, ticks, true)?;
            println!("{sent} samples");
            Ok(true)
        }
        Command::MemoryOne { ticks } => memory::run_one(scale, ticks),
        Command::SimulationLife {
            folder,
            acked,
            until,
            days,
        } => simulation::live(scale, days, &folder, (acked, until)),
        Command::RemoteReadOne { folder, samples } => remote_read::run_one(scale, &folder, samples),
        Command::RestartWriter { folder, first_tick } => {
            restart::write_until_killed(scale, &folder, first_tick)
        }
        Command::RestartReader { folder, since_ms } => restart::read_once(&folder, since_ms),
    }
}

fn all(scale: &Scale, given: &Given) -> Result<bool> {
    let mut good = true;
    if given.realdata.is_some() {
        good &= disk::run(scale, given.realdata.as_deref(), given.prometheus.as_deref(), &[])?;
    } else {
        println!("\ndisk: left out, no recorded data given");
    }
    good &= k8s::run(scale, given.prometheus.as_deref())?;
    good &= compacted::run(scale, given.realdata.as_deref())?;
    good &= ingest::run(scale, &[])?;
    good &= backfill::run(scale, &[], None)?;
    good &= latency::run(scale)?;
    good &= busy::run(scale)?;
    good &= read::run(scale, &[], given.realdata.as_deref())?;
    good &= remote_reads(scale, None, given.prometheus.as_deref())?;
    let binaries = http::Binaries {
        narthex: None,
        prometheus: given.prometheus.clone(),
        victoria: None,
    };
    good &= native::run(scale, None)?;
    good &= logs::run(scale, None)?;
    if given.realdata.is_some() {
        good &= formats::run(scale, given.realdata.as_deref(), None)?;
    }
    good &= blocks::run(scale, &blocks::Peers::default())?;
    good &= queries::run(scale, &[queries::Size::A], &[], &binaries)?;
    good &= query_limits::run(scale, None)?;
    good &= cardinality::run(scale)?;
    good &= rollups::run(scale, 1_000)?;
    good &= parser::run(scale)?;
    good &= memory::run(scale, &[6, 120])?;
    good &= restart::run(scale, &[6, 120, 480], 1)?;
    good &= large::run(scale)?;
    good &= simulation::run(scale, None)?;
    good &= soak::run(scale, 60.0, 1, None, None)?;
    Ok(good)
}

fn remote_reads(scale: &Scale, narthex: Option<&Path>, prometheus: Option<&Path>) -> Result<bool> {
    let function = remote_read::run(scale)?;
    Ok(remote_read_http::run(scale, narthex, prometheus)? && function)
}
