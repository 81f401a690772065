//! Writes that the API server answers and forgets. They need the right to write, so that `plan` never asks for one.

use http::Method;
use serde_json::Value;

use super::{KubeRead, ObjectRef};
use crate::error::Result;

impl KubeRead {
    /// Changes an object by a JSON patch as a server-side dry run: it passes defaulting, validation and admission, and is
    /// forgotten. None where the object does not exist.
    ///
    /// # Errors
    /// The API server refuses the patch, or may not be asked.
    pub async fn dry_run_patch(&self, object: &ObjectRef, operations: &Value) -> Result<Option<Value>> {
        let Some(path) = self.paths.object(object).await? else { return Ok(None) };
        let call = format!("patch {object} as a dry run");
        let kind = "application/json-patch+json";
        self.api.request(&call, Method::PATCH, &format!("{path}?dryRun=All"), kind, operations).await
    }
}
