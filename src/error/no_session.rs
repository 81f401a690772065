//! Why a session could not be had, or is over, with what to do: the errors of the SDK keep it as a source, so that the hint survives them.

use super::causes;

/// How the text begins of a session that is over and cannot be had again without asking somebody.
const OVER: &str = "the MFA session of";

/// There is no session (any more).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NoSession {
    /// What is missing, and of which profile.
    pub what: String,
    /// What to do.
    pub mend: String,
}

impl NoSession {
    /// The session of a role that was good for so many minutes is over.
    pub(crate) fn over(role: &str, minutes: u64) -> NoSession {
        NoSession { what: format!("{OVER} {role} is over after {minutes} min"), mend: after_the_end() }
    }

    /// The one that an error comes from.
    pub(crate) fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a NoSession> {
        causes(error).find_map(|error| error.downcast_ref())
    }

    /// What to do, where only the text is left.
    pub(crate) fn mend_of_text(text: &str) -> Option<String> {
        text.starts_with(OVER).then(after_the_end)
    }
}

fn after_the_end() -> String {
    "run the same command again, which asks for a new code: what is done stays done; sessions last longer with duration_seconds in the \
     profile, up to the role's maximum"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::error::CredentialsError;

    use super::*;

    #[test]
    fn the_mend_survives_the_errors_of_the_sdk_and_its_text_alone() {
        let over = NoSession::over("profile `prod`", 60);
        assert_eq!(over.to_string(), "the MFA session of profile `prod` is over after 60 min");
        assert_eq!(NoSession::mend_of_text(&over.to_string()).as_deref(), Some(over.mend.as_str()));
        assert_eq!(NoSession::mend_of_text("no providers in chain provided credentials"), None);
        let wrapped = CredentialsError::provider_error(over.clone());
        assert_eq!(NoSession::of(&wrapped), Some(&over));
        let hint = crate::hint::of(&crate::error::Error::Credentials { source: wrapped.into() });
        assert_eq!(hint, Some(over.mend));
    }
}
