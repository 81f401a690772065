//! The recorder: what was called, by whom and how it ended. Tests count writes with it; secrets never enter it.

use std::collections::BTreeMap;

use serde::Serialize;

/// One recorded call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Number of the call, from 1 since the start or since the calls were last cleared.
    pub number: u64,
    /// `iam`, `sts`, `eks` or `tagging`.
    pub service: &'static str,
    /// The operation's name, for example `CreateRole`.
    pub operation: String,
    /// Whether the operation changes the account.
    pub write: bool,
    /// ARN of the caller, if the call got as far as being authenticated.
    pub caller: Option<String>,
    /// The call's parameters; tokens are left out and documents are shortened.
    pub parameters: BTreeMap<String, String>,
    /// HTTP status of the answer; absent if the connection was broken by a fault.
    pub status: Option<u16>,
    /// AWS's error code, if the call failed.
    pub error: Option<String>,
    /// Request id of the answer.
    pub request_id: String,
}

/// Parameters whose values are secrets or noise of the SDK.
const LEFT_OUT: [&str; 6] =
    ["WebIdentityToken", "TokenCode", "clientRequestToken", "Action", "Version", "ClientRequestToken"];

/// Shortens parameters for the recorder.
pub(super) fn summarise(parameters: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    parameters
        .filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()))
        .map(|(key, value)| {
            let shown = if value.chars().count() > 200 {
                value.chars().take(200).chain("...".chars()).collect()
            } else {
                value
            };
            (key, shown)
        })
        .collect()
}
