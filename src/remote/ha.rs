//! Pairs of senders that scrape the same targets: of the replicas of a cluster one is elected and stored.
//!
//! The replica that was stored last stays elected until nothing came from it for a while; then the first other one that
//! sends takes its place. What the others send is not stored and counts as written, so that they do not send it again.
//! Elections are kept in a file (docs/format/ha.md), so that a restart does not change them.

use crate::base::hash;
use crate::io::{self, Fs, FsError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const FIRST_LINE: &str = "narthex-ha 1";
/// Clusters that may be known: their names come from senders.
const CLUSTERS_MAX: usize = 10_000;

/// The labels that name a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HaLabels {
    pub(crate) cluster: String,
    pub(crate) replica: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Elected {
    replica: String,
    /// When it was elected.
    since_ms: i64,
    /// When something came from it last. Not kept.
    last_ms: i64,
}

/// Who is elected.
#[derive(Debug)]
pub(crate) struct Elections {
    /// Where they are kept; `None` for a database in memory.
    file: Option<(Arc<dyn Fs>, PathBuf)>,
    timeout_ms: i64,
    clusters: Mutex<HashMap<String, Elected>>,
}

/// A cluster and its elected replica, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Election {
    pub(crate) cluster: String,
    pub(crate) replica: String,
    pub(crate) since_ms: i64,
    pub(crate) last_ms: i64,
}

impl Elections {
    /// Takes up the elections that `file` holds. A damaged file is told of, and elections begin anew.
    pub(crate) fn open(
        file: Option<(Arc<dyn Fs>, PathBuf)>,
        timeout: Duration,
        now_ms: i64,
    ) -> Result<Self, FsError> {
        let mut clusters = HashMap::new();
        if let Some((fs, path)) = &file
            && fs.exists(path)?
        {
            let bytes = io::read_file(&**fs, path)?;
            match parse(&String::from_utf8_lossy(&bytes), now_ms) {
                Some(known) => clusters = known,
                None => tracing::error!(file = %path.display(), "elections are damaged and begin anew"),
            }
        }
        Ok(Self {
            file,
            timeout_ms: i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
            clusters: Mutex::new(clusters),
        })
    }

    /// Whether what `replica` sends for `cluster` is to be stored.
    pub(crate) fn accepts(&self, cluster: &str, replica: &str, now_ms: i64) -> bool {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = clusters.len() >= CLUSTERS_MAX;
        match clusters.get_mut(cluster) {
            Some(elected) if elected.replica == replica => {
                elected.last_ms = elected.last_ms.max(now_ms);
                return true;
            }
            Some(elected) if now_ms.saturating_sub(elected.last_ms) <= self.timeout_ms => return false,
            Some(elected) => {
                tracing::info!(
                    cluster,
                    from = elected.replica,
                    to = replica,
                    "another replica is elected"
                );
            }
            // Beyond the limit nothing is remembered, and every replica is stored.
            None if is_full => return true,
            None => {}
        }
        let elected = Elected {
            replica: replica.to_owned(),
            since_ms: now_ms,
            last_ms: now_ms,
        };
        clusters.insert(cluster.to_owned(), elected);
        if let Some((fs, path)) = &self.file
            && let Err(error) = io::write_file(fs, path, print(&clusters).as_bytes())
        {
            tracing::warn!(%error, "elections are not kept");
        }
        true
    }

    /// Who is elected, by cluster.
    pub(crate) fn list(&self) -> Vec<Election> {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Election> = clusters
            .iter()
            .map(|(cluster, elected)| Election {
                cluster: cluster.clone(),
                replica: elected.replica.clone(),
                since_ms: elected.since_ms,
                last_ms: elected.last_ms,
            })
            .collect();
        drop(clusters);
        list.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        list
    }
}

fn print(clusters: &HashMap<String, Elected>) -> String {
    let mut lines: Vec<String> = clusters
        .iter()
        .map(|(cluster, elected)| {
            let (cluster, replica) = (escape(cluster), escape(&elected.replica));
            format!("{}\t{cluster}\t{replica}\n", elected.since_ms)
        })
        .collect();
    lines.sort_unstable();
    let text = format!("{FIRST_LINE}\n{}", lines.concat());
    format!("{text}{:016x}\n", hash::checksum(text.as_bytes()))
}

fn parse(text: &str, now_ms: i64) -> Option<HashMap<String, Elected>> {
    let at = text.trim_end().rfind('\n')? + 1;
    let (body, checksum) = text.split_at(at);
    if u64::from_str_radix(checksum.trim_end(), 16).ok()? != hash::checksum(body.as_bytes()) {
        return None;
    }
    let lines = body.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?.lines();
    let line = |line: &str| {
        let mut parts = line.split('\t');
        let (since, cluster, replica) = (parts.next()?, parts.next()?, parts.next()?);
        let elected = Elected {
            replica: unescape(replica),
            since_ms: since.parse().ok()?,
            // It has as long to send again as if it had sent just now.
            last_ms: now_ms,
        };
        Some((unescape(cluster), elected))
    };
    lines.map(line).collect()
}

/// Replaces what parts lines and columns.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                _ => '\\',
            }),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::SimFs;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn open(fs: &Arc<dyn Fs>, now_ms: i64) -> Elections {
        Elections::open(Some((fs.clone(), "ha".into())), TIMEOUT, now_ms).unwrap()
    }

    #[test]
    fn the_first_stays_until_it_is_silent_for_long() {
        let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
        let elections = open(&fs, 0);
        assert!(elections.accepts("eu", "a", 0));
        assert!(!elections.accepts("eu", "b", 1_000));
        assert!(elections.accepts("us", "b", 1_000), "clusters are apart");
        assert!(elections.accepts("eu", "a", 20_000));
        assert!(!elections.accepts("eu", "b", 50_000));
        assert!(elections.accepts("eu", "b", 50_001), "30 s after the last sign");
        assert!(!elections.accepts("eu", "a", 50_002));
        assert_eq!(elections.list()[0].since_ms, 50_001);
    }

    #[test]
    fn a_restart_keeps_who_is_elected() {
        let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
        let odd = "eu\t\n\\1\r";
        assert!(open(&fs, 0).accepts(odd, "a\\t", 0));
        let again = open(&fs, 1_000_000);
        assert!(!again.accepts(odd, "b", 1_000_001));
        assert!(again.accepts(odd, "a\\t", 1_000_002));
        let bytes = io::read_file(&*fs, "ha".as_ref()).unwrap();
        for at in 0..bytes.len() - 1 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            io::write_file(&fs, "ha".as_ref(), &damaged).unwrap();
            assert!(open(&fs, 0).list().is_empty(), "byte {at}");
        }
    }
}
