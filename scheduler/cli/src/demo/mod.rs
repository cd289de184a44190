//! `squall demo`: the product's whole way on one machine, with the real parts: an empty pool, a batch, nodes that come
//! and go, and at the end a check of everything that was promised.

mod look;
mod outputs;
mod play;
pub mod rank;
mod run;
mod screen;
mod stage;
mod summary;
pub mod task;
mod verdict;

pub use run::demo;
