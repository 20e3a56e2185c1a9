//! A view: the segments and head generations that a reader sees, swapped at once.

use super::deletions::Tombstone;
use crate::head::slab::Generation;
use crate::segment::reader::Segment;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) struct View {
    /// In order of their LSNs.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The generation being flushed, if any, then the live one.
    pub(crate) generations: Vec<Arc<Generation>>,
    /// By LSN, withdrawn ones included.
    pub(crate) deletions: Arc<[Arc<Tombstone>]>,
}
