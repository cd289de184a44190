//! `squall demo`: the product's whole way on one machine, with the real parts: an empty pool, a batch, nodes that come
//! and go, and at the end a check of everything that was promised.

#[cfg(feature = "embed")]
mod look;
mod outputs;
#[cfg(feature = "embed")]
mod play;
pub mod rank;
#[cfg(feature = "embed")]
mod run;
#[cfg(feature = "embed")]
mod screen;
#[cfg(feature = "embed")]
mod stage;
#[cfg(feature = "embed")]
mod summary;
pub mod task;
#[cfg(feature = "embed")]
mod verdict;

#[cfg(feature = "embed")]
pub use run::demo;
