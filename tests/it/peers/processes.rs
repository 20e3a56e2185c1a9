//! The real programs: narthex, Prometheus and node_exporter on loopback, each ended with its value.

use super::http::{self, wait_until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const READY: Duration = Duration::from_secs(60);

/// Where `scripts/get-peers.sh` put the peers; the test command sets it.
const PEERS: &str = "NARTHEX_PEERS";

/// A peer's binary.
pub(crate) fn peer(name: &str) -> PathBuf {
    let folder = std::env::var_os(PEERS).unwrap_or_else(|| "target/peers".into());
    let path = Path::new(&folder).join("usr/bin").join(name);
    assert!(
        path.is_file(),
        "{} is missing: run scripts/get-peers.sh target/peers, or the test command of the README, which does",
        path.display()
    );
    path
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A child process with its log, killed when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")),
            log: log.to_owned(),
        }
    }

    fn wait_until_ready(&mut self, port: u16, path: &str) {
        let log = self.log.clone();
        wait_until(&format!("{} is ready", log.display()), READY, || {
            if let Some(status) = self.child.try_wait().expect("a status") {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("ended with {status}:\n{text}");
            }
            http::get(port, path).is_ok_and(|answer| answer.status == 200)
        });
    }

    /// kill -9.
    fn kill(&mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is fine, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// narthex on a folder, started and killed as the test likes.
#[derive(Debug)]
pub(crate) struct Narthex {
    process: Process,
    folder: PathBuf,
    pub(crate) port: u16,
    flags: Vec<String>,
}

impl Narthex {
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        let port = free_port();
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut process = Process::start(Self::command(folder, port, &flags), &folder.join("narthex.log"));
        process.wait_until_ready(port, "/-/ready");
        Self {
            process,
            folder: folder.to_owned(),
            port,
            flags,
        }
    }

    /// Ends `other` and serves its data.
    pub(crate) fn take_over(other: Self, flags: &[&str]) -> Self {
        let folder = other.folder.clone();
        drop(other);
        Self::start(&folder, flags)
    }

    fn command(folder: &Path, port: u16, flags: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
        command
            .arg("serve")
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"));
        command.arg("--data").arg(folder.join("narthex")).args(flags);
        command
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("narthex")
    }

    fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Lets none of its files grow beyond so many bytes, as a full disk does; `None` gives the space back.
    pub(crate) fn limit_files(&self, most: Option<u64>) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let limits = Rlimit {
            current: most,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limits).expect("a limit");
    }

    /// kill -9, and a new process on the same folder and port.
    pub(crate) fn kill_and_restart(&mut self) {
        self.process.kill();
        let command = Self::command(&self.folder, self.port, &self.flags);
        self.process = Process::start(command, &self.folder.join("narthex.log"));
        self.process.wait_until_ready(self.port, "/-/ready");
    }
}

/// A Prometheus with a folder of its own.
#[derive(Debug)]
pub(crate) struct Prometheus {
    _process: Process,
    config: PathBuf,
    pub(crate) port: u16,
}

impl Prometheus {
    /// `config` may say `PORT` for its own port.
    pub(crate) fn start(folder: &Path, name: &str, config: &str, flags: &[&str]) -> Self {
        let port = free_port();
        let path = folder.join(format!("{name}.yml"));
        std::fs::write(&path, config.replace("PORT", &port.to_string())).expect("a file");
        let mut command = Command::new(peer("prometheus"));
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join(name).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-lifecycle")
            .args(flags);
        let mut process = Process::start(command, &folder.join(format!("{name}.log")));
        process.wait_until_ready(port, "/-/ready");
        Self {
            _process: process,
            config: path,
            port,
        }
    }

    /// Replaces its configuration.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(&self.config, config.replace("PORT", &self.port.to_string())).expect("a file");
        let answer = http::send(self.port, "POST", "/-/reload", "", &[]).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The sum of a metric of its own over all its series.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = http::get(self.port, "/metrics").ok()?.text();
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix(name)
                    .filter(|rest| rest.starts_with(['{', ' ']))
            })
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// VictoriaMetrics with a folder of its own.
#[derive(Debug)]
pub(crate) struct Victoria {
    _process: Process,
    pub(crate) port: u16,
}

impl Victoria {
    pub(crate) fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(peer("victoria-metrics"));
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", folder.join("victoria").display()))
            .args([
                "-retentionPeriod=100y",
                "-memory.allowedBytes=200MB",
                "-search.latencyOffset=0",
            ]);
        let mut process = Process::start(command, &folder.join("victoria.log"));
        process.wait_until_ready(port, "/health");
        Self {
            _process: process,
            port,
        }
    }
}

/// node_exporter, for ordinary metrics that move.
#[derive(Debug)]
pub(crate) struct NodeExporter {
    _process: Process,
    pub(crate) port: u16,
}

impl NodeExporter {
    pub(crate) fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(peer("prometheus-node-exporter"));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start(command, &folder.join("node.log"));
        process.wait_until_ready(port, "/metrics");
        Self {
            _process: process,
            port,
        }
    }
}
