//! What must be true, judged without the controller's own opinion: from what is durable, from what was executed, from
//! what clients were told, and from the cloud's own bill.

mod arrays;
mod dependencies;
mod executions;
mod history;
mod limits;
mod money;
mod promises;
mod spending;
mod together;

pub use executions::Executions;
pub use history::History;
pub use promises::Promises;
