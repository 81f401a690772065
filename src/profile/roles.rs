//! The roles of a profile, along `source_profile`, where one of them wants the code of an MFA device: the SDK leaves `mfa_serial` and
//! `duration_seconds` out (awslabs/aws-sdk-rust#527), so that `mfa.rs` assumes these roles. The settings mean what they mean for the AWS CLI:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html>

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::{Profile, ProfileFileCredentialsProvider, ProfileSet};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

use super::{Profiles, provider_config};
use crate::config;
use crate::credentials::Kept;
use crate::error::{Error, Result};

/// The name of a session that nobody named.
pub(crate) const SESSION: &str = "eks-bootstrap";
/// So many profiles may lead to one another.
const LONGEST: usize = 16;
/// How long a session may last, in seconds.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
const SECONDS: std::ops::RangeInclusive<i32> = 900..=43200;
/// What a profile may say of its credentials beside its role.
const BESIDE_ROLE: [&str; 11] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "credential_process",
    "login_session",
    "region",
    "sso_session",
    "sso_start_url",
    "sso_region",
    "sso_account_id",
    "sso_role_name",
];
/// A profile that stands for another one without its role.
const WITHOUT_ROLE: &str = "eks-bootstrap:without-role";

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    /// The profile that names it, or the device.
    pub(crate) profile: String,
    /// Its ARN.
    pub(crate) arn: String,
    /// The name of the session.
    pub(crate) session_name: String,
    /// What the role's owner wants to be told.
    pub(crate) external_id: Option<String>,
    /// How long the session is to last.
    pub(crate) seconds: Option<i32>,
    /// The device whose code the role wants.
    pub(crate) mfa_serial: Option<String>,
    /// Whether it is that of `--assume-role`.
    pub(crate) of_flag: bool,
}

/// With whose credentials the first role is assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Those of a profile, as the SDK reads it.
    Profile(String),
    /// Those that a profile has beside its role.
    WithoutRole(String),
    /// Those of the place that `credential_source` names.
    Place(Place),
}

/// The places that `credential_source` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Environment,
    Instance,
    Container,
}

/// Roles, the first one to assume first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) base: Base,
    pub(crate) roles: Vec<Role>,
}

impl Profiles {
    /// The roles of the run's profile, with that of `--assume-role` as the last one; none where no code is wanted, or where keys of the
    /// environment count before the profile.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub(crate) fn roles(&self, flag: Option<&str>) -> Result<Option<Chain>> {
        self.used().map_or(Ok(None), |name| chain(&self.set, name, flag))
    }

    /// The profile whose credentials count; none where keys of the environment do.
    pub(super) fn used(&self) -> Option<&str> {
        let has_keys =
            || ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].iter().all(|name| config::variable(name).is_some());
        match &self.named {
            Some(("--profile", name)) => Some(name),
            _ if has_keys() => None,
            Some((_, name)) => Some(name),
            None => Some("default"),
        }
    }

    /// The provider of a base.
    pub(crate) fn base_provider(&self, base: &Base, aws: &SdkConfig) -> SharedCredentialsProvider {
        let conf = provider_config(aws);
        let of_files = |files: EnvConfigFiles, name: &str| {
            let provider = ProfileFileCredentialsProvider::builder().profile_files(files).profile_name(name);
            let provider = SharedCredentialsProvider::new(provider.configure(&conf).build());
            self.signed_in(SharedCredentialsProvider::new(Kept::of_profile(provider)))
        };
        match base {
            Base::Profile(name) => of_files(self.files(), name),
            Base::WithoutRole(name) => of_files(self.files_with(&without_role(&self.set, name)), WITHOUT_ROLE),
            Base::Place(Place::Environment) => {
                SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new())
            }
            Base::Place(Place::Instance) => {
                SharedCredentialsProvider::new(ImdsCredentialsProvider::builder().configure(&conf).build())
            }
            Base::Place(Place::Container) => {
                SharedCredentialsProvider::new(EcsCredentialsProvider::builder().configure(&conf).build())
            }
        }
    }

    /// The files, and one more profile.
    fn files_with(&self, profile: &str) -> EnvConfigFiles {
        let builder = self
            .files
            .iter()
            .fold(EnvConfigFiles::builder(), |builder, file| builder.with_contents(file.kind, file.text.clone()));
        builder.with_contents(EnvConfigFileKind::Config, profile).build()
    }
}

/// A profile with what another one says beside its role.
fn without_role(set: &ProfileSet, name: &str) -> String {
    let profile = set.get_profile(name);
    let settings = BESIDE_ROLE.iter().filter_map(|key| Some((key, profile?.get(key)?)));
    let lines = settings
        .filter(|(_, value)| !value.is_empty() && !value.contains('\n'))
        .map(|(key, value)| format!("{key} = {value}\n"));
    format!("[profile {WITHOUT_ROLE}]\n{}", lines.collect::<String>())
}

/// The roles of a profile where one of them wants a code.
fn chain(set: &ProfileSet, name: &str, flag: Option<&str>) -> Result<Option<Chain>> {
    let (links, base) = walk(set, name);
    // With `--assume-role` a device counts without a role of its own, as the user's keys are what that role is assumed with.
    let device = flag.filter(|_| links.is_empty()).and_then(|_| set.get_profile(name)?.get("mfa_serial"));
    if device.is_none() && links.iter().all(|profile| profile.get("mfa_serial").is_none()) {
        return Ok(None);
    }
    let base = base?;
    let mut roles = links.into_iter().rev().map(role).collect::<Result<Vec<_>>>()?;
    if let Some(arn) = flag {
        roles.push(Role {
            profile: name.to_owned(),
            arn: arn.to_owned(),
            session_name: SESSION.to_owned(),
            external_id: None,
            seconds: None,
            mfa_serial: device.map(|serial| checked_serial(name, serial)).transpose()?,
            of_flag: true,
        });
    }
    Ok(Some(Chain { base, roles }))
}

/// The profiles with roles from one on, and where they begin; that nothing can be made of their beginning is an error only where they are
/// not left to the SDK.
pub(super) fn walk<'a>(set: &'a ProfileSet, name: &str) -> (Vec<&'a Profile>, Result<Base>) {
    let (mut links, mut name): (Vec<&Profile>, _) = (Vec::new(), name.to_owned());
    loop {
        let Some(profile) = set.get_profile(&name) else { return (links, Ok(Base::Profile(name))) };
        // Web identity is no link: whoever has the token needs no other credentials.
        let arn = profile.get("role_arn").filter(|_| profile.get("web_identity_token_file").is_none());
        let Some(arn) = arn else { return (links, Ok(Base::Profile(name))) };
        if !links.is_empty() && profile.get("aws_access_key_id").is_some() {
            return (links, Ok(Base::WithoutRole(name)));
        }
        if links.len() == LONGEST || links.iter().any(|link| link.name() == name) {
            let names: Vec<_> = links.iter().map(|link| link.name()).collect();
            let (field, reason) =
                (of("source_profile", &name), format!("the profiles never end: {}", names.join(", ")));
            let mend = "name a profile with keys, SSO or a credential_process";
            return (links, Err(Error::config(field, name, reason, mend)));
        }
        links.push(profile);
        match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(source), None) if source == name => return (links, Ok(Base::WithoutRole(name))),
            (Some(source), None) => source.clone_into(&mut name),
            (None, Some(source)) => return (links, place(&name, source).map(Base::Place)),
            (source, _) => {
                let reason = if source.is_some() { "with both" } else { "without" };
                let reason = format!("{reason} source_profile and credential_source");
                let mend = "say with one of them whose credentials assume the role";
                return (links, Err(Error::config(of("role_arn", &name), arn, reason, mend)));
            }
        }
    }
}

/// How errors name a setting of a profile.
fn of(key: &str, profile: &str) -> String {
    format!("{key} of AWS profile `{profile}`")
}

fn place(profile: &str, source: &str) -> Result<Place> {
    let places = [
        ("Environment", Place::Environment),
        ("Ec2InstanceMetadata", Place::Instance),
        ("EcsContainer", Place::Container),
    ];
    let found = places.iter().find(|(name, _)| name.eq_ignore_ascii_case(source));
    found.map(|(_, place)| *place).ok_or_else(|| {
        let mend = format!("write one of {}", places.map(|(name, _)| name).join(", "));
        Error::config(of("credential_source", profile), source, "not known", mend)
    })
}

fn role(profile: &Profile) -> Result<Role> {
    let text = |key: &str| profile.get(key).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
    let seconds = text("duration_seconds").map(|text| {
        let seconds = text.parse().ok().filter(|seconds| SECONDS.contains(seconds));
        seconds.ok_or_else(|| {
            let mend = format!("write a number from {} to {}", SECONDS.start(), SECONDS.end());
            Error::config(of("duration_seconds", profile.name()), &text, "not how long a session can last", mend)
        })
    });
    Ok(Role {
        profile: profile.name().to_owned(),
        arn: text("role_arn").unwrap_or_default(),
        session_name: text("role_session_name").unwrap_or_else(|| SESSION.to_owned()),
        external_id: text("external_id"),
        seconds: seconds.transpose()?,
        mfa_serial: text("mfa_serial").map(|serial| checked_serial(profile.name(), &serial)).transpose()?,
        of_flag: false,
    })
}

/// The ARN or number of a device, in the characters that STS takes; it is shown to whoever is asked for the code.
fn checked_serial(profile: &str, serial: &str) -> Result<String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c);
    if (9..=256).contains(&serial.len()) && serial.chars().all(valid) {
        return Ok(serial.to_owned());
    }
    let mend =
        "write the ARN of a virtual device, as `aws iam list-mfa-devices` prints it, or the number on one of hardware";
    Err(Error::config(of("mfa_serial", profile), serial, "not an MFA device", mend))
}

#[cfg(test)]
mod tests;
