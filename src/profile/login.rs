//! Profiles whose credentials are a session of `aws login`. The SDK reads those only with its feature `credentials-login`, which brings 26
//! crates for the refresh of the session; the AWS CLI hands them over as well, so that is what is said instead.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/access-login.html>

use aws_config::profile::Profile;

use super::Profiles;
use super::roles::{Base, walk};
use crate::error::{Error, NoSession, Result};

/// The settings that the SDK looks for before `login_session`.
const BEFORE: [&str; 7] = [
    "credential_source",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "sso_region",
    "sso_account_id",
    "sso_role_name",
];

impl Profiles {
    /// Makes sure that the run's credentials do not come from `aws login`.
    ///
    /// # Errors
    /// They do; how to hand them over is said.
    pub(crate) fn refuse_login(&self) -> Result<()> {
        let Some(used) = self.used() else { return Ok(()) };
        let (links, base) = walk(&self.set, used);
        let Ok(Base::Profile(name) | Base::WithoutRole(name)) = base else { return Ok(()) };
        match self.set.get_profile(&name) {
            Some(profile) if logs_in(profile, links.is_empty()) => Err(refusal(used, &name)),
            _ => Ok(()),
        }
    }
}

/// Whether the SDK would read the session; `first` is the profile of the run, and of its sources keys count before all else.
fn logs_in(profile: &Profile, first: bool) -> bool {
    let has = |key: &str| profile.get(key).is_some();
    has("login_session") && !BEFORE.into_iter().any(has) && (first || !has("aws_access_key_id"))
}

fn refusal(used: &str, name: &str) -> Error {
    let export = format!("eval \"$(aws configure export-credentials --profile {used} --format env)\"");
    let reason = NoSession {
        what: format!("AWS profile `{name}` uses a session of `aws login`, which this program does not read"),
        mend: format!(
            "run `aws login --profile {name}` if it has ended, then `{export}`, and the same command without --profile"
        ),
    };
    Error::Credentials { source: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::profiles;

    const SESSION: &str = "login_session = arn:aws:iam::111122223333:user/jane\n";
    const ROLE: &str = "[profile role]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = console\n";

    #[tokio::test]
    async fn a_console_session_is_named_as_such_with_the_way_to_hand_it_over() {
        let config = format!("[profile console]\n{SESSION}{ROLE}");
        for used in ["console", "role"] {
            let error = profiles(&config, used).await.refuse_login().unwrap_err();
            assert_eq!(error.exit_code(), crate::exit_code::NO_PERMISSION);
            let text = crate::report::of(&error);
            assert!(text.contains("AWS profile `console` uses a session of `aws login`"), "{text}");
            assert!(text.contains(&format!("export-credentials --profile {used} --format env")), "{text}");
        }
        // What counts before it.
        let keys = "aws_access_key_id = AKIA\naws_secret_access_key = s\n";
        let sso = "sso_start_url = https://d-1.awsapps.com/start\n";
        for (config, used) in [
            (format!("[profile console]\n{SESSION}{sso}"), "console"),
            (format!("[profile console]\n{SESSION}{keys}{ROLE}"), "role"),
            (format!("[profile console]\n{keys}"), "console"),
        ] {
            profiles(&config, used).await.refuse_login().unwrap();
        }
    }
}
