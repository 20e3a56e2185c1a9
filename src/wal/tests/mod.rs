//! The log on a disk that crashes, breaks and fills up: what was promised comes back, and nothing else does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

mod crash;
mod damage;
mod faults;

use super::*;
use crate::io::SimFs;

const DIR: &str = "wal";
const START: ReplayFrom = ReplayFrom { sequence: 0, lsn: 1 };

/// Keeps what it is shown.
#[derive(Debug, Default)]
struct Kept {
    records: BTreeMap<Lsn, Vec<u8>>,
    gaps: Vec<Gap>,
}

impl Visitor for Kept {
    type Error = Infallible;

    fn record(&mut self, record: Record<'_>) -> Result<(), Infallible> {
        assert_eq!(record.kind, kind_of(record.payload));
        if let Some((last, _)) = self.records.last_key_value() {
            assert!(*last < record.lsn);
        }
        self.records.insert(record.lsn, record.payload.to_vec());
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), Infallible> {
        self.gaps.push(gap.clone());
        Ok(())
    }
}

fn kind_of(payload: &[u8]) -> u8 {
    (payload.len() % 200) as u8 + 1
}

fn options(nonce: u64) -> WalOptions {
    WalOptions {
        file_bytes: 20_000,
        step_bytes: 4096,
        database_id: 1,
        nonce,
    }
}

fn sim() -> (SimFs, Arc<dyn Fs>) {
    let sim = SimFs::new();
    sim.create_dir_all(Path::new(DIR)).unwrap();
    sim.sync_dir(Path::new("")).unwrap();
    (sim.clone(), Arc::new(sim))
}

fn writer(fs: &Arc<dyn Fs>) -> WalWriter {
    WalWriter::create(fs, Path::new(DIR), options(0), 1, 1).unwrap()
}

fn read_back(fs: &dyn Fs) -> (Kept, Replayed) {
    let mut kept = Kept::default();
    let replayed = replay(fs, Path::new(DIR), START, &mut kept).unwrap();
    (kept, replayed)
}

fn payload(generation: u64, lsn: Lsn, length: usize) -> Vec<u8> {
    let seed = generation.wrapping_mul(31).wrapping_add(lsn);
    (0..length as u64)
        .map(|i| (seed.wrapping_mul(i + 7) >> 3) as u8)
        .collect()
}

#[derive(Debug, Clone)]
enum Op {
    Append(usize),
    Sync,
    Mark,
    Rotate,
}

/// Records appended by LSN; a mark is `None`.
type Truth = BTreeMap<Lsn, Option<Vec<u8>>>;

fn run(wal: &mut WalWriter, sim: &SimFs, script: &[Op], generation: u64, truth: &mut Truth) {
    for op in script {
        match op {
            Op::Append(length) => {
                let bytes = payload(generation, wal.next_lsn(), *length);
                truth.insert(wal.next_lsn(), Some(bytes.clone()));
                wal.append(kind_of(&bytes), &bytes).unwrap();
            }
            Op::Mark => {
                truth.insert(wal.next_lsn(), None);
                wal.mark().unwrap();
            }
            Op::Sync => drop(wal.commit().sync_now().unwrap()),
            Op::Rotate => wal.rotate().unwrap(),
        }
        if wal.needs_rotation() {
            wal.rotate().unwrap();
        }
        sim.set_tag(wal.commit().durable_lsn());
    }
}

/// What came back is the truth up to some LSN that is not below `durable`.
fn check(fs: &dyn Fs, truth: &Truth, durable: Lsn) -> Replayed {
    let (kept, replayed) = read_back(fs);
    assert_eq!(replayed.gaps, []);
    assert!(replayed.next_lsn > durable, "lost durable records");
    assert!(replayed.durable_lsn < replayed.next_lsn);
    let expected = truth
        .range(..replayed.next_lsn)
        .filter_map(|(lsn, bytes)| Some((*lsn, bytes.clone()?)));
    assert_eq!(kept.records, expected.collect::<BTreeMap<_, _>>());
    replayed
}
