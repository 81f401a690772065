//! A read that was denied, kept beside what could be read: the plan goes on without it and says what is missing.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::{AwsError, Error, KubeError};

/// Who denied what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// IAM.
    Aws(AwsError),
    /// RBAC.
    Kube(KubeError),
}

impl Denied {
    /// The denial that an error is; none for one that is anything else, such as credentials that nobody accepts.
    pub fn of(error: &Error) -> Option<Denied> {
        match error {
            Error::Aws(error) if error.denied() => Some(Denied::Aws(error.clone())),
            Error::Kube(error) if error.status == Some(403) => Some(Denied::Kube(error.clone())),
            _ => None,
        }
    }

    /// The right that is missing: `eks:DescribeAddon`, `get Service/kube-system/x`.
    pub fn right(&self) -> &str {
        match self {
            Denied::Aws(error) => &error.operation,
            Denied::Kube(error) => &error.operation,
        }
    }

    /// The denial as an error of its own.
    pub fn error(&self) -> Error {
        match self {
            Denied::Aws(error) => Error::Aws(error.clone()),
            Denied::Kube(error) => Error::Kube(error.clone()),
        }
    }

    fn message(&self) -> &str {
        match self {
            Denied::Aws(error) => &error.message,
            Denied::Kube(error) => &error.message,
        }
    }
}

impl Serialize for Denied {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Denied", 2)?;
        fields.serialize_field("right", self.right())?;
        fields.serialize_field("message", self.message())?;
        fields.end()
    }
}
