//! The credentials of a run for the `token` commands that its helm starts, so that no program, portal or person is asked for them again.
//!
//! They go through the environment: a command line shows in every list of processes, and a file could stay behind. Helm itself has no use for
//! them, and its templates cannot read variables (<https://helm.sh/docs/chart_template_guide/function_list/>).

use aws_credential_types::Credentials;
use tokio::process::Command;

/// What would count before the keys: our own variables for what the flags say.
const OURS: [&str; 2] = ["EKS_BOOTSTRAP_PROFILE", "EKS_BOOTSTRAP_ASSUME_ROLE"];
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// Gives a child these credentials and no others.
pub(super) fn hand_over(child: &mut Command, credentials: &Credentials) {
    for name in OURS {
        child.env_remove(name);
    }
    child
        .env("AWS_ACCESS_KEY_ID", credentials.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key());
    match credentials.session_token() {
        Some(token) => child.env(TOKEN, token),
        // One of the environment belongs to other keys.
        None => child.env_remove(TOKEN),
    };
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "nothing is started")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_child_gets_the_credentials_in_its_environment_and_nothing_that_overrules_them() {
        for token in [Some("a-token".to_owned()), None] {
            let mut child = Command::new("helm");
            hand_over(&mut child, &Credentials::new("ASIA", "secret", token.clone(), None, "test"));
            let child = child.as_std();
            assert_eq!(child.get_args().count(), 0);
            let text = |value: Option<&std::ffi::OsStr>| value.map(|value| value.to_str().unwrap().to_owned());
            let variables: BTreeMap<_, _> =
                child.get_envs().map(|(name, value)| (name.to_str().unwrap(), text(value))).collect();
            assert_eq!(variables["AWS_ACCESS_KEY_ID"].as_deref(), Some("ASIA"));
            assert_eq!(variables["AWS_SECRET_ACCESS_KEY"].as_deref(), Some("secret"));
            assert_eq!(variables["AWS_SESSION_TOKEN"], token);
            for name in OURS {
                assert_eq!(variables[name], None);
            }
        }
    }
}
