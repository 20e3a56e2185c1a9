//! What happens to a series between its request and the database: election of a replica, then relabelling.
//!
//! What a series' labels lead to is the same each time, so it is remembered by the key of their text: a series that stays
//! as it was sent costs one look-up and is then stored without its labels being decoded.

use super::ha::{Elections, HaLabels};
use super::relabel::{self, Relabelled, Rule};
use crate::model::labels::{self, LabelsRef};
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Decisions that are remembered; then remembering begins anew.
const DECISIONS_MAX: usize = 1 << 20;

/// The rules of a database.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    relabel: Vec<Rule>,
    ha: Option<(HaLabels, Elections)>,
    decisions: Mutex<HashMap<u128, Arc<Decision>, FixedState>>,
}

/// What a series' labels lead to.
#[derive(Debug)]
struct Decision {
    /// Cluster and replica, if they name any.
    replica: Option<(Box<str>, Box<str>)>,
    relabelled: Relabelled,
}

/// What becomes of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    AsSent,
    /// It is not stored, as its sender wished or because another replica is; it counts as written.
    Dropped,
    /// It is stored under other labels, canonical.
    Changed(Arc<[u8]>),
}

impl Intake {
    pub(crate) fn new(relabel: Vec<Rule>, ha: Option<(HaLabels, Elections)>) -> Self {
        Self {
            relabel,
            ha,
            decisions: Mutex::default(),
        }
    }

    /// Whether every series is stored as it was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.relabel.is_empty() && self.ha.is_none()
    }

    pub(crate) fn elections(&self) -> Option<&Elections> {
        self.ha.as_ref().map(|ha| &ha.1)
    }

    /// Decides about a series whose labels have `key`; labels that are none are left to be refused.
    pub(crate) fn judge(
        &self,
        key: u128,
        now_ms: i64,
        labels: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) -> Verdict {
        let known = self.lock().get(&key).cloned();
        let decision = match known {
            Some(known) => known,
            None => {
                let mut canonical = Vec::new();
                if labels(&mut canonical).is_err() {
                    return Verdict::AsSent;
                }
                let decision = Arc::new(self.decide(&canonical));
                let mut decisions = self.lock();
                if decisions.len() >= DECISIONS_MAX {
                    decisions.clear();
                }
                decisions.insert(key, decision.clone());
                decision
            }
        };
        if let (Some((_, elections)), Some((cluster, replica))) = (&self.ha, &decision.replica)
            && !elections.accepts(cluster, replica, now_ms)
        {
            return Verdict::Dropped;
        }
        match &decision.relabelled {
            Relabelled::Unchanged => Verdict::AsSent,
            Relabelled::Dropped => Verdict::Dropped,
            Relabelled::Changed(labels) => Verdict::Changed(labels.clone()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Arc<Decision>, FixedState>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Labels that name cluster and replica lose the replica; rules see them without it.
    fn decide(&self, canonical: &[u8]) -> Decision {
        let labels = LabelsRef::new(canonical);
        let value = |name: &str| labels.iter().find(|pair| pair.0 == name).map(|pair| pair.1);
        let named = self.ha.as_ref().and_then(|(names, _)| {
            let (cluster, replica) = (value(&names.cluster)?, value(&names.replica)?);
            Some((names, cluster, replica))
        });
        let Some((names, cluster, replica)) = named else {
            return Decision {
                replica: None,
                relabelled: relabel::relabel(&self.relabel, canonical),
            };
        };
        let mut pairs: Vec<_> = labels.iter().filter(|pair| pair.0 != names.replica).collect();
        let mut shared = Vec::with_capacity(canonical.len());
        // What is left of a label set is one.
        drop(labels::canonicalize(&mut pairs, &mut shared));
        let relabelled = match relabel::relabel(&self.relabel, &shared) {
            Relabelled::Unchanged => Relabelled::Changed(shared.into()),
            other => other,
        };
        Decision {
            replica: Some((cluster.into(), replica.into())),
            relabelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use crate::model::labels::Labels;
    use crate::model::relabel_rule::RelabelRule;
    use std::time::Duration;

    fn judge(intake: &Intake, labels: &Labels, now_ms: i64) -> Verdict {
        intake.judge(labels.hash().0, now_ms, |out| {
            out.extend_from_slice(labels.as_bytes());
            Ok(())
        })
    }

    #[test]
    fn the_elected_replica_is_stored_without_its_label_and_rules_come_after() {
        let rule = RelabelRule {
            source_labels: vec!["__name__".into()],
            regex: Some("go_.*".into()),
            action: Some("drop".into()),
            ..RelabelRule::default()
        };
        let names = HaLabels {
            cluster: "cluster".into(),
            replica: "__replica__".into(),
        };
        let elections = Elections::open(None, Duration::from_secs(30), 0).unwrap();
        let intake = Intake::new(vec![Rule::compile(&rule).unwrap()], Some((names, elections)));
        let of = |metric: &str, replica: &str| {
            labels! { "__name__" => metric, "cluster" => "eu", "__replica__" => replica }
        };
        let shared = labels! { "__name__" => "up", "cluster" => "eu" };
        for now_ms in [0, 1] {
            let verdict = judge(&intake, &of("up", "a"), now_ms);
            assert_eq!(verdict, Verdict::Changed(shared.as_bytes().into()));
            assert_eq!(judge(&intake, &of("up", "b"), now_ms), Verdict::Dropped);
        }
        assert_eq!(judge(&intake, &of("go_gc", "a"), 2), Verdict::Dropped);
        assert_eq!(judge(&intake, &shared, 2), Verdict::AsSent, "no pair of senders");
        let verdict = judge(&intake, &of("up", "b"), 40_000);
        assert_eq!(verdict, Verdict::Changed(shared.as_bytes().into()), "a is silent");
    }
}
