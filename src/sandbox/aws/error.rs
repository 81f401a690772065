//! An error as an AWS service answers it: code, HTTP status, message and, for EKS, a few fields that name the object.
//!
//! The services return it; `wire` renders it in the protocol of the service that was called.

use serde_json::{Map, Value};

/// An error answer of a simulated service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    pub(super) code: String,
    pub(super) status: u16,
    pub(super) message: String,
    /// Further members of a JSON error (`clusterName`, `addonName`, ...).
    pub(super) fields: Map<String, Value>,
}

/// What a simulated operation returns.
pub(super) type Result<T> = std::result::Result<T, ApiError>;

impl ApiError {
    pub(super) fn new(code: impl Into<String>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), fields: Map::new() }
    }

    /// Adds a member to a JSON error.
    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.fields.insert(key.to_owned(), Value::from(value));
        self
    }

    /// The simulator does not know this; never answered with a made-up success.
    pub(super) fn not_implemented(what: &str) -> Self {
        Self::new("NotImplemented", 501, format!("{what} is not simulated"))
    }

    // IAM and STS.

    pub(super) fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new("NoSuchEntity", 404, message)
    }

    pub(super) fn already_exists(message: impl Into<String>) -> Self {
        Self::new("EntityAlreadyExists", 409, message)
    }

    pub(super) fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new("LimitExceeded", 409, message)
    }

    pub(super) fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new("DeleteConflict", 409, message)
    }

    pub(super) fn invalid_input(message: impl Into<String>) -> Self {
        Self::new("InvalidInput", 400, message)
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", 400, message)
    }

    pub(super) fn malformed_document(message: impl Into<String>) -> Self {
        Self::new("MalformedPolicyDocument", 400, message)
    }

    /// A parameter breaks a constraint of the API model (length, pattern, allowed values).
    pub(super) fn constraint(value: &str, member: &str, constraint: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {constraint}"
        ))
    }

    // EKS.

    pub(super) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", 400, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", 404, message)
    }

    pub(super) fn in_use(message: impl Into<String>) -> Self {
        Self::new("ResourceInUseException", 409, message)
    }
}
