//! How values are written: columns, times, amounts, ids. Shared by everything that prints a table.

pub mod again;
pub mod amounts;
pub mod asked;
pub mod columns;
pub mod files;
pub mod format;
pub mod ids;
pub mod json;
pub mod moments;
pub mod node_state;
pub mod table;
