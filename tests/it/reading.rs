//! Reading: selections against a naive filter, listings, chunks, events, and what a cursor sees of what happens later.

mod chunks;
mod events;
mod histograms;
mod listing;
mod select;
mod views;
