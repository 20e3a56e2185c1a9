//! A server under load: narthex, Prometheus or VictoriaMetrics on one core, with what it costs.

use super::http::Client;
use anyhow::{Context, Result, bail};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The core of the server; the load comes from the other one.
const CORE: &str = "0";
/// CPU time is told by the kernel in these ticks a second.
const TICKS_PER_SECOND: f64 = 100.0;
/// A server has settled when it took less than this share of a core.
const IDLE_SHARE: f64 = 0.02;
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// What is waited for at least after the last answer, and at most.
const SETTLE_MIN: Duration = Duration::from_secs(10);
const SETTLE_MAX: Duration = Duration::from_secs(90);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Narthex,
    Prometheus,
    VictoriaMetrics,
}

/// A running server; it is killed and its folder removed with this value.
pub struct Served {
    child: Child,
    pub kind: Kind,
    pub port: u16,
    folder: tempfile::TempDir,
    /// What starts it.
    words: Vec<String>,
}

impl Served {
    /// Starts a server on loopback and waits until it is ready. `durability` is narthex' own setting.
    pub fn start(kind: Kind, binary: &Path, folder: tempfile::TempDir, durability: &str) -> Result<Self> {
        let own = ["--retention", "0", "--durability", durability];
        let own = own.map(str::to_owned);
        let settings: &[String] = if kind == Kind::Narthex { &own } else { &[] };
        Self::start_with(kind, binary, folder, settings, Some(CORE))
    }

    /// The same with these settings, on one core or on all.
    pub fn start_with(
        kind: Kind,
        binary: &Path,
        folder: tempfile::TempDir,
        settings: &[String],
        core: Option<&str>,
    ) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut words: Vec<String> = match core {
            Some(core) => ["taskset", "-c", core].map(str::to_owned).to_vec(),
            None => Vec::new(),
        };
        words.push(binary.display().to_string());
        words.extend(arguments(kind, folder.path(), port)?);
        words.extend_from_slice(settings);
        let mut served = Self {
            child: spawn(&words, folder.path())?,
            kind,
            port,
            folder,
            words,
        };
        served.wait_until_ready()?;
        Ok(served)
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        super::stop(&mut self.child);
    }

    /// Starts it again where it was, after [`Served::kill`], and waits until it is ready.
    pub fn again(&mut self) -> Result<()> {
        self.child = spawn(&self.words, self.folder.path())?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        self.poll_until_ready().with_context(|| self.log())
    }

    fn poll_until_ready(&mut self) -> Result<()> {
        let path = match self.kind {
            Kind::VictoriaMetrics => "/health",
            _ => "/-/ready",
        };
        let end = Instant::now() + READY_TIMEOUT;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            if let Some(status) = self.child.try_wait()? {
                bail!("{:?} ended with {status}", self.kind);
            }
            let Ok(mut client) = Client::connect(self.port) else {
                continue;
            };
            if client
                .send("GET", path, "", &[])
                .is_ok_and(|answer| answer.status == 200)
            {
                return Ok(());
            }
        }
        bail!("{:?} is not ready after {READY_TIMEOUT:?}", self.kind)
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of its data.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// CPU time of all its threads so far.
    pub fn cpu_s(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let behind_name = stat.rsplit_once(')').context("/proc/stat has no name")?.1;
        let mut fields = behind_name.split_whitespace().skip(11);
        let mut ticks = || -> Result<f64> { Ok(fields.next().context("/proc/stat is short")?.parse()?) };
        Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
    }

    /// Waits until nothing is left to do in the background.
    pub fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let mut before = self.cpu_s()?;
        loop {
            std::thread::sleep(IDLE_LOOK);
            let now = self.cpu_s()?;
            let is_idle = now - before < IDLE_SHARE * IDLE_LOOK.as_secs_f64();
            let waited = start.elapsed();
            if is_idle && waited >= SETTLE_MIN || waited >= SETTLE_MAX {
                return Ok(());
            }
            before = now;
        }
    }

    /// Ends it and keeps its folder.
    pub fn end(mut self) -> Result<tempfile::TempDir> {
        super::stop(&mut self.child);
        let empty = tempfile::Builder::new().prefix("narthex-bar-").tempdir()?;
        Ok(std::mem::replace(&mut self.folder, empty))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        super::stop(&mut self.child);
    }
}

/// What tells a server where to listen and where its data is.
fn arguments(kind: Kind, folder: &Path, port: u16) -> Result<Vec<String>> {
    let listen = format!("127.0.0.1:{port}");
    let data = folder.join("data").display().to_string();
    let config = folder.join("prometheus.yml");
    Ok(match kind {
        Kind::Narthex => ["serve", "--listen", &listen, "--data", &data]
            .map(str::to_owned)
            .to_vec(),
        Kind::Prometheus => {
            std::fs::write(&config, "scrape_configs: []\n")?;
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={data}"),
                format!("--web.listen-address={listen}"),
                "--storage.tsdb.retention.time=10y".to_owned(),
                "--web.enable-remote-write-receiver".to_owned(),
            ]
        }
        Kind::VictoriaMetrics => vec![
            format!("-storageDataPath={data}"),
            format!("-httpListenAddr={listen}"),
            "-retentionPeriod=10y".to_owned(),
        ],
    })
}

fn spawn(words: &[String], folder: &Path) -> Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    let (program, arguments) = words.split_first().context("BUG: nothing to start")?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {}", words.join(" ")))
}
