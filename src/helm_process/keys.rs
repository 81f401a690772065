//! Whether a run of helm gets the user's AWS credentials: a chart's templates, a repository and helm's own plugins need none.
//!
//! Helm itself never asks AWS. Its kubeconfig starts a program that signs in to the cluster, and a registry's logins may come
//! from a credential helper (<https://github.com/docker/docker-credential-helpers>), as they do for ECR
//! (<https://github.com/awslabs/amazon-ecr-credential-helper>); both take what is in the environment.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::config;

/// The largest file of logins that is read.
const LONGEST: u64 = 1 << 20;

/// What a run does with AWS credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// The run reaches the cluster, or a registry whose credential helper needs them.
    Kept,
    /// Nothing that it starts needs them.
    Removed,
}

impl Keys {
    /// What pulling from this registry needs.
    pub fn for_registry(reference: &str) -> Keys {
        let host = reference.split("://").last().and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let named = logins().iter().any(|file| {
            let short = fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= LONGEST);
            short && fs::read_to_string(file).is_ok_and(|text| names_helper(&text, host))
        });
        if named { Keys::Kept } else { Keys::Removed }
    }

    /// Whether the variable stays in the environment.
    pub(super) fn keep(self, name: &str) -> bool {
        self == Keys::Kept || !name.starts_with("AWS_")
    }
}

/// Where helm looks for logins: in its own file, then in Docker's.
/// <https://helm.sh/docs/topics/registries/#other-subcommands>
fn logins() -> Vec<PathBuf> {
    let named = config::variable("HELM_REGISTRY_CONFIG").map(PathBuf::from);
    let folder = config::variable("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(config::variable("HOME")?).join(".docker")));
    let docker = folder.map(|folder| folder.join("config.json"));
    named.or_else(config::registry_logins).into_iter().chain(docker).collect()
}

/// Whether logins to this host, or to all, come from a helper.
/// <https://docs.docker.com/reference/cli/docker/login/#credential-helpers>
fn names_helper(text: &str, host: &str) -> bool {
    let Ok(file) = serde_json::from_str::<Value>(text) else { return false };
    let named = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    named(file.get("credsStore")) || named(file.get("credHelpers").and_then(|helpers| helpers.get(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_helper_of_the_registry_needs_credentials() {
        let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        for (text, expected) in [
            (r#"{"credHelpers": {"111122223333.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login"}}"#, true),
            (r#"{"credsStore": "ecr-login"}"#, true),
            (r#"{"credHelpers": {"public.ecr.aws": "ecr-login"}, "credsStore": ""}"#, false),
            (r#"{"auths": {"111122223333.dkr.ecr.eu-west-1.amazonaws.com": {"auth": "eA=="}}}"#, false),
            ("no JSON", false),
        ] {
            assert_eq!(names_helper(text, host), expected, "{text}");
        }
    }

    #[test]
    fn everything_of_aws_is_taken_away() {
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_PROFILE"] {
            assert!(Keys::Kept.keep(name) && !Keys::Removed.keep(name), "{name}");
        }
        assert!(Keys::Removed.keep("HTTPS_PROXY") && Keys::Removed.keep("DOCKER_CONFIG"));
    }
}
