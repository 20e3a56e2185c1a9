//! A real Prometheus beside us: started on loopback in a folder of its own, given a workload by remote write, asked
//! for a snapshot, and the snapshot's blocks measured.

mod chunk;
pub mod http;
mod protobuf;
pub mod remote_read;
pub mod remote_write;
pub mod remote_write_v2;
pub mod served;

use crate::measure::folder_sizes;
use crate::workload::Workload;
use anyhow::{Context, Result, bail, ensure};
use http::Client;
use remote_write::Request;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Sizes of the blocks of a snapshot, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blocks {
    pub count: usize,
    pub samples: u64,
    pub chunk_bytes: u64,
    pub index_bytes: u64,
    /// Everything, with the small files.
    pub bytes: u64,
}

/// A running Prometheus; it is killed and its folder removed with this value.
pub struct Prometheus {
    child: Child,
    folder: tempfile::TempDir,
    client: Client,
}

impl Prometheus {
    pub fn start(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "scrape_configs: []\n")?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data(folder.path()).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args([
                "--storage.tsdb.retention.time=10y",
                "--web.enable-remote-write-receiver",
            ])
            .args(["--web.enable-admin-api", "--enable-feature=native-histograms"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        match wait_until_ready(&mut child, port) {
            Ok(client) => Ok(Self {
                child,
                folder,
                client,
            }),
            Err(error) => {
                stop(&mut child);
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                Err(error.context(log))
            }
        }
    }

    /// Sends all of `workload`, a request for each batch; how many samples that were.
    pub fn play(&mut self, workload: &mut dyn Workload) -> Result<u64> {
        let (mut request, mut total) = (Request::default(), 0);
        while workload.advance() {
            workload.each(&mut |labels, timestamp, point| {
                request.push(labels, timestamp, point);
                total += 1;
            });
            self.write(&mut request)?;
        }
        Ok(total)
    }

    fn write(&mut self, request: &mut Request) -> Result<()> {
        if request.is_empty() {
            return Ok(());
        }
        let answer = self.client.send(
            "POST",
            "/api/v1/write",
            remote_write::HEADERS,
            &request.take_body()?,
        )?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status / 100 == 2, "remote write: {} {text}", answer.status);
        Ok(())
    }

    /// Writes everything it has into blocks and measures them.
    pub fn snapshot(&mut self) -> Result<Blocks> {
        let answer = self.client.send("POST", "/api/v1/admin/tsdb/snapshot", "", &[])?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "snapshot: {} {text}", answer.status);
        let name = text
            .split("\"name\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let name = name.with_context(|| format!("no snapshot in {text}"))?;
        blocks(&data(self.folder.path()).join("snapshots").join(name))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// A child that ended before we asked is fine, too.
fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn wait_until_ready(child: &mut Child, port: u16) -> Result<Client> {
    let end = Instant::now() + READY_TIMEOUT;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait()? {
            bail!("Prometheus ended with {status}");
        }
        let Ok(mut client) = Client::connect(port) else {
            continue;
        };
        if client.send("GET", "/-/ready", "", &[])?.status == 200 {
            return Ok(client);
        }
    }
    bail!("Prometheus is not ready after {READY_TIMEOUT:?}")
}

fn blocks(folder: &Path) -> Result<Blocks> {
    let mut blocks = Blocks::default();
    for entry in std::fs::read_dir(folder)? {
        let block = entry?.path();
        let meta = std::fs::read_to_string(block.join("meta.json"))?;
        blocks.samples += sample_count(&meta).with_context(|| format!("no sample count in {meta}"))?;
        blocks.count += 1;
    }
    folder_sizes(folder, &mut |path, size| {
        let chunks = path.iter().any(|part| part == "chunks");
        blocks.bytes += size;
        blocks.chunk_bytes += if chunks { size } else { 0 };
        blocks.index_bytes += if path.ends_with("index") { size } else { 0 };
    })?;
    Ok(blocks)
}

fn sample_count(meta: &str) -> Option<u64> {
    let rest = meta.split_once("\"numSamples\":")?.1.trim_start();
    let end = rest.find(|char: char| !char.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_measured_by_part() {
        let folder = tempfile::tempdir().unwrap();
        let block = folder.path().join("01A");
        std::fs::create_dir_all(block.join("chunks")).unwrap();
        std::fs::write(
            block.join("meta.json"),
            "{\"stats\": {\n\"numSamples\": 17,\n\"numSeries\": 2}}",
        )
        .unwrap();
        std::fs::write(block.join("chunks/000001"), [0; 100]).unwrap();
        std::fs::write(block.join("index"), [0; 30]).unwrap();
        let blocks = blocks(folder.path()).unwrap();
        assert_eq!((blocks.count, blocks.samples), (1, 17));
        assert_eq!((blocks.chunk_bytes, blocks.index_bytes), (100, 30));
        assert!(blocks.bytes > 130);
    }
}
