//! What bounds a query before it is evaluated.

/// How deep expressions nest, chains of binary operators to the left excepted.
pub(crate) const MAX_DEPTH: usize = 200;

/// The longest text of a query.
pub(crate) const MAX_QUERY_BYTES: usize = 4 << 20;
