//! What becomes of tiles: retention, deletions behind the samples, damage, snapshots.
