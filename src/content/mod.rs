//! Compares what a manifest sets with the object that is there, field by field. Pure.
//!
//! Called by the step of a release (`steps/release/content.rs`) with the documents of Helm's record and what the API server
//! answers. Only what the document sets is compared: defaults of the server, status, and what others added beside it are no
//! differences. No schema is asked of the cluster: what Kubernetes' types do with lists, maps and zeros is a table
//! (`types.rs`); kinds of CRDs are known by the schemas in the chart.

mod ignore;
mod lists;
mod patch;
mod quantity;
mod scalars;
mod schema;
mod shown;
mod types;
mod walk;

use serde_json::Value;

use crate::plan::FieldDiff;

pub use ignore::Pattern;
pub use patch::{Operation, patch};
pub use schema::Schemas;

/// One field in which an object is not what its document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, with what is there and what is to be there.
    pub field: FieldDiff,
    /// A merge of the document into the object, as helm makes it, would leave it or be refused: something must go that
    /// the document does not name.
    pub beyond_merge: bool,
}

/// What differs, and the object as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The differences, in the order of the document.
    pub differences: Vec<Difference>,
    /// The object with nothing changed but these.
    pub corrected: Value,
}

/// Compares an object with the document that it was made from. What is found at the paths `leave` stays and is not told.
pub fn compare(document: &Value, object: &Value, schemas: &Schemas, leave: &[String]) -> Comparison {
    walk::compare(document, object, schemas, leave)
}

/// What the tables say of a list or a map of the server's own kinds, by its path without entries; for the test that holds
/// them against an API server.
pub fn treated_as(kind: &str, path: &str, list: bool) -> String {
    types::said(kind, path, list)
}

#[cfg(test)]
mod tests;
