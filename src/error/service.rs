//! What AWS and the Kubernetes API server answer when they refuse, and how the SDK's errors become that.
//!
//! Codes are what the program decides by; texts are only shown.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::refusal::Refusal;
use super::{causes, chain_of, endpoint, of_unknown_issuer};
use crate::heard;
use crate::limits::{self, AWS_OPERATION};

/// What AWS answered, or that it did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {}{message}", code.as_deref().map(|c| format!("{c}: ")).unwrap_or_default())]
pub struct AwsError {
    /// Service and operation, such as `iam:CreateRole`.
    pub operation: String,
    /// AWS's error code; none where no answer came.
    pub code: Option<String>,
    /// AWS's text, or the innermost cause of a failed call.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// HTTP status; none where no answer came.
    pub status: Option<u16>,
    /// Whether the call failed before AWS was reached because no credentials could be had.
    pub no_credentials: bool,
    /// Whether it failed because no known authority has signed the certificate of whoever answered.
    pub untrusted: bool,
}

/// Codes by which AWS's services say that IAM denies.
const DENIED: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException", "NotAuthorized"];
/// Codes for credentials that AWS does not take (any more).
const BAD_CREDENTIALS: [&str; 11] = [
    "AuthFailure",
    "RequestExpired",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    // The region takes nobody's of this account.
    "RegionDisabledException",
    "OptInRequired",
];
/// Codes for "there is no such thing".
const NOT_FOUND: [&str; 3] = ["NoSuchEntity", "NoSuchEntityException", "ResourceNotFoundException"];

impl AwsError {
    /// Converts an SDK error; `operation` is service and operation as IAM writes it.
    pub fn new<E, R>(operation: &str, error: &SdkError<E, R>) -> AwsError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: RawStatus + std::fmt::Debug + 'static,
    {
        let status = error.raw_response().and_then(RawStatus::status);
        let asked = || endpoint::of(operation);
        // An answer without one of AWS's codes is not AWS's: a proxy's, a login page, half an answer.
        let foreign = |status: u16| format!("{} answered HTTP {status} with something that is not AWS's", asked());
        if let Some(service) = error.as_service_error().filter(|service| service.code().is_some() || status.is_none()) {
            return AwsError {
                operation: operation.to_owned(),
                code: service.code().map(ToOwned::to_owned),
                message: service.message().unwrap_or("no message").to_owned(),
                request_id: service.meta().extra("aws_request_id").map(ToOwned::to_owned),
                status,
                no_credentials: false,
                untrusted: false,
            };
        }
        let no_credentials = causes(error).any(<dyn std::error::Error>::is::<CredentialsError>);
        let message = match (status, error) {
            (Some(status), _) => foreign(status),
            (None, SdkError::TimeoutError(_)) => {
                heard::nothing(operation);
                let began = heard::began(operation).map(|status| format!(" (it began with HTTP {status})"));
                let limit = limits::shown(AWS_OPERATION.get());
                format!("no whole answer from {} within {limit}{}", asked(), began.unwrap_or_default())
            }
            (None, _) if no_credentials => chain_of(error).pop().unwrap_or_default(),
            (None, _) => {
                format!("no answer from {}: {}", asked(), chain_of(error).pop().unwrap_or_default())
            }
        };
        let (operation, untrusted) = (operation.to_owned(), of_unknown_issuer(error));
        AwsError { operation, code: None, message, request_id: None, status, no_credentials, untrusted }
    }

    /// An answer with status 200 that does not hold what it has to.
    pub fn unusable(operation: String, message: String) -> AwsError {
        AwsError {
            operation,
            code: None,
            message,
            request_id: None,
            status: Some(200),
            no_credentials: false,
            untrusted: false,
        }
    }

    /// Whether AWS said that the thing does not exist.
    pub fn not_found(&self) -> bool {
        self.code.as_deref().is_some_and(|code| NOT_FOUND.contains(&code))
    }

    /// Whether IAM denied the call.
    pub fn denied(&self) -> bool {
        self.code.as_deref().is_some_and(|code| DENIED.contains(&code))
    }

    /// Whether the credentials themselves were refused or could not be had.
    pub fn bad_credentials(&self) -> bool {
        self.no_credentials || self.code.as_deref().is_some_and(|code| BAD_CREDENTIALS.contains(&code))
    }

    /// Whether the code is `code`; AWS's texts are never matched.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// The HTTP status of a raw response, whatever its type.
pub trait RawStatus {
    /// The status code, if there is one.
    fn status(&self) -> Option<u16>;
}

impl RawStatus for aws_smithy_runtime_api::client::orchestrator::HttpResponse {
    fn status(&self) -> Option<u16> {
        Some(self.status().as_u16())
    }
}

/// What the Kubernetes API server answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct KubeError {
    /// Verb and object, such as `get ServiceAccount/kube-system/x`.
    pub operation: String,
    /// HTTP status; none where no answer came.
    pub status: Option<u16>,
    /// The machine-readable reason, such as `Forbidden`, `Conflict`, `NotFound`.
    pub reason: String,
    /// The server's text.
    pub message: String,
}

impl KubeError {
    /// Whether RBAC (or authentication) denied the call. Quotas and admission answer 403 too, to anyone.
    pub fn denied(&self) -> bool {
        match self.status {
            Some(401) => true,
            Some(403) => !Refusal::of_kube(self).is_some_and(|refusal| refusal.kind.is_of_the_object()),
            _ => false,
        }
    }
}
