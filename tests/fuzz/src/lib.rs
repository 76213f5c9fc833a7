//! What the fuzz targets share: an input is a script of steps, the steps make events, and what comes of them is
//! held against what the engine promises.

pub mod contract;
mod frames;
pub mod ledger;
pub mod memory;
pub mod script;
pub mod step;
pub mod world;

/// Time-outs after which nothing may be due any more, whatever the first ones let go on.
pub(crate) const AGAIN_MAX: u32 = 4;

/// Every allocation of a target is counted.
#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
