//! A second copy of an error, for when several wait for one thing that fails.

use super::{Cause, Error, NoSession, chain_of};

/// Sources that cannot be copied become their texts.
fn text(source: &(dyn std::error::Error + 'static)) -> Cause {
    if let Some(over) = NoSession::of(source) {
        return over.clone().into();
    }
    chain_of(source).join(": ").into()
}

impl Error {
    /// The same error again, with the same message, fix and exit code.
    pub(crate) fn copy(&self) -> Error {
        match self {
            Error::Refused { what, mend } => Error::Refused { what: what.clone(), mend: mend.clone() },
            Error::Credentials { source } => Error::Credentials { source: text(source.as_ref()) },
            Error::ExecPlugin { plugin, source, install } => {
                Error::ExecPlugin { plugin: plugin.clone(), source: text(source.as_ref()), install: install.clone() }
            }
            Error::Aws(error) => Error::Aws(error.clone()),
            Error::Kube(error) => Error::Kube(error.clone()),
            Error::HelmNotFound { looked } => Error::HelmNotFound { looked: looked.clone() },
            Error::HelmTooOld { path, version, needed } => {
                Error::HelmTooOld { path: path.clone(), version: version.clone(), needed: needed.clone() }
            }
            Error::HelmFailed { command, message, seen } => {
                Error::HelmFailed { command: command.clone(), message: message.clone(), seen: seen.clone() }
            }
            Error::ChartNotFound { chart, version, place, reason } => Error::ChartNotFound {
                chart: chart.clone(),
                version: version.clone(),
                place: place.clone(),
                reason: reason.clone(),
            },
            Error::TimedOut { what, limit } => Error::TimedOut { what: what.clone(), limit: *limit },
            Error::Stopped { what } => Error::Stopped { what: what.clone() },
            Error::Io { what, source } => {
                Error::Io { what: what.clone(), source: std::io::Error::new(source.kind(), source.to_string()) }
            }
            // Nothing that several wait for ends with another one.
            other => Error::io(other.to_string(), std::io::Error::other(text(other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_says_the_same() {
        let source = || std::io::Error::new(std::io::ErrorKind::NotFound, "gone");
        for error in [
            Error::io("read `x`", source()),
            Error::Refused { what: "a".to_owned(), mend: "b".to_owned() },
            Error::Credentials { source: source().into() },
            Error::ExecPlugin { plugin: "p".to_owned(), source: source().into(), install: None },
            Error::HelmNotFound { looked: "PATH".to_owned() },
            Error::TimedOut { what: "helm".to_owned(), limit: std::time::Duration::from_secs(3) },
        ] {
            let copy = error.copy();
            assert_eq!(crate::report::of(&copy), crate::report::of(&error));
            assert_eq!(copy.exit_code(), error.exit_code());
        }
    }
}
