//! Why a session could not be had, or is over, with what to do: the errors of the SDK keep it as a source, so that the hint survives them.

use super::causes;

/// How the text begins of a session that is over and cannot be had again without asking somebody.
const OVER: &str = "the MFA session of";

/// How the text begins of a session of `aws login` that cannot be used; the profile's name comes next.
const LOGIN: &str = "the session of `aws login` of AWS profile `";

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

    /// A profile's session of `aws login` cannot be used.
    pub(crate) fn of_login(profile: &str, reason: &str) -> NoSession {
        NoSession { what: format!("{LOGIN}{profile}` cannot be used: {reason}"), mend: sign_in(profile) }
    }

    /// The one that an error comes from.
    pub(crate) fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a NoSession> {
        causes(error).find_map(|error| error.downcast_ref())
    }

    /// What to do, where only the text is left.
    pub(crate) fn mend_of_text(text: &str) -> Option<String> {
        if let Some((profile, _)) = text.strip_prefix(LOGIN).and_then(|rest| rest.split_once('`')) {
            return Some(sign_in(profile));
        }
        text.starts_with(OVER).then(after_the_end)
    }
}

fn sign_in(profile: &str) -> String {
    format!("sign in with `aws login --profile {profile}`, then run the same command again")
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
        let login = NoSession::of_login("console", "cached Login token is expired");
        assert_eq!(NoSession::mend_of_text(&login.to_string()), Some(login.mend));
        let wrapped = CredentialsError::provider_error(over.clone());
        assert_eq!(NoSession::of(&wrapped), Some(&over));
        let hint = crate::hint::of(&crate::error::Error::Credentials { source: wrapped.into() });
        assert_eq!(hint, Some(over.mend));
    }
}
