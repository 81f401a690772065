//! Roles that want the code of an MFA device: it is asked for on the terminal, once, and the session that it gives serves the whole run, all
//! its clients and the `token` commands of its helm. The SDK has no such provider (awslabs/aws-sdk-rust#527).
//!
//! It is asked for before the first call, since the time limits of calls are too short for people, and nobody is asked again: a run that
//! is longer than the session ends with what remains.

mod terminal;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::Client;

use crate::connect;
use crate::credentials::Kept;
use crate::error::{AwsError, Error, NoSession, Result};
use crate::heard::{self, Heard};
use crate::limits::{self, MFA_CODE};
use crate::profile::roles::Role;

pub(crate) use terminal::AtTerminal;

/// So many codes are tried.
const TRIES: usize = 3;
/// The digits of a code.
const DIGITS: usize = 6;

/// Somebody who can be asked for a code.
#[async_trait]
pub(crate) trait Person: Send + Sync {
    /// Whether there is somebody.
    fn is_there(&self) -> bool;
    /// Says something.
    fn tell(&self, text: &str);
    /// Asks for a line of text, which is not shown while it is typed; none at the end of input.
    async fn ask(&self, question: &str) -> Option<String>;
}

/// What was asked for in this process, by profile, role and device: a command may connect more than once.
static ASKED: Mutex<BTreeMap<[String; 3], Result<Session, NoSession>>> = Mutex::new(BTreeMap::new());

fn asked_so_far() -> MutexGuard<'static, BTreeMap<[String; 3], Result<Session, NoSession>>> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this run has a session that somebody gave a code for, so that no child of it can get one by itself.
pub(crate) fn asked() -> bool {
    asked_so_far().values().any(Result::is_ok)
}

/// The provider of the last of `roles`, each assumed with the credentials of the one before, and the first with those of `first`.
///
/// # Errors
/// No credentials to begin with, nobody to ask, no code that AWS takes, or a role that does not let its caller in.
pub(crate) async fn provider(
    aws: &SdkConfig,
    first: SharedCredentialsProvider,
    roles: &[Role],
    person: &dyn Person,
) -> Result<SharedCredentialsProvider> {
    let mut provider = first;
    for role in roles {
        let aws = aws.to_builder().credentials_provider(provider).build();
        provider = match &role.mfa_serial {
            Some(serial) => SharedCredentialsProvider::new(session(&aws, role, serial, person).await?),
            None => SharedCredentialsProvider::new(Kept::new(without_code(&aws, role).await)),
        };
    }
    Ok(provider)
}

/// A role on the way that wants no code.
async fn without_code(aws: &SdkConfig, role: &Role) -> SharedCredentialsProvider {
    let mut builder = AssumeRoleProvider::builder(&role.arn).session_name(&role.session_name).configure(aws);
    if let Some(id) = &role.external_id {
        builder = builder.external_id(id);
    }
    if let Some(seconds) = role.seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
        builder = builder.session_length(Duration::from_secs(seconds));
    }
    SharedCredentialsProvider::new(builder.build().await)
}

async fn session(aws: &SdkConfig, role: &Role, serial: &str, person: &dyn Person) -> Result<Session> {
    let failed = |reason: NoSession| Error::Credentials { source: reason.into() };
    let key = [role.profile.clone(), role.arn.clone(), serial.to_owned()];
    let known = asked_so_far().get(&key).cloned();
    if let Some(known) = known {
        return known.map_err(failed);
    }
    // Nobody is asked for a code that leads nowhere.
    connect::credentials(aws).await?;
    let limit = MFA_CODE.get();
    let outcome = match tokio::time::timeout(limit, code_and_session(aws, role, serial, person)).await {
        Ok(outcome) => outcome?,
        Err(_) => Err(NoSession {
            what: format!("no code from the MFA device `{serial}` was entered within {}", limits::shown(limit)),
            mend: "run the same command again".to_owned(),
        }),
    };
    asked_so_far().insert(key, outcome.clone());
    outcome.map_err(failed)
}

/// Asks until AWS takes a code. The inner error is one that asking again would not change.
async fn code_and_session(
    aws: &SdkConfig,
    role: &Role,
    serial: &str,
    person: &dyn Person,
) -> Result<Result<Session, NoSession>> {
    if !person.is_there() {
        return Ok(Err(nobody(role, serial)));
    }
    let client = Client::from_conf(aws_sdk_sts::config::Builder::from(aws).interceptor(Heard::of("sts")).build());
    let question = format!("Enter the MFA code of {serial} (AWS profile `{}`): ", role.profile);
    for _ in 0..TRIES {
        let Some(answer) = person.ask(&question).await else {
            let what = format!("no code from the MFA device `{serial}` was entered");
            return Ok(Err(NoSession { what, mend: "run the same command again".to_owned() }));
        };
        let code = answer.trim();
        if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            person.tell("a code is six digits\n");
            continue;
        }
        match assume(&client, role, serial, code).await {
            Ok(session) => return Ok(Ok(session)),
            Err(error) if is_wrong_code(&error) => {
                person.tell("AWS did not accept this code; each code is accepted once, so wait for the next one\n");
            }
            Err(error) if is_wrong_device(&error) => return Ok(Err(wrong_device(role, &error))),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Err(NoSession {
        what: format!("AWS accepted none of {TRIES} codes from the MFA device `{serial}`"),
        mend: format!("check mfa_serial of AWS profile `{}`, and the clock of the device", role.profile),
    }))
}

async fn assume(client: &Client, role: &Role, serial: &str, code: &str) -> Result<Session, AwsError> {
    let operation = "sts:AssumeRole";
    let call = client.assume_role().role_arn(&role.arn).role_session_name(&role.session_name);
    let call = call.set_external_id(role.external_id.clone()).set_duration_seconds(role.seconds);
    let answer = call.serial_number(serial).token_code(code).send().await;
    let answer = answer.map_err(|error| AwsError::new(operation, &error))?;
    let unusable = || AwsError::unusable(operation.to_owned(), "the answer holds no session with an end".to_owned());
    let given = answer.credentials().ok_or_else(unusable)?;
    let ends = SystemTime::try_from(*given.expiration()).map_err(|_| unusable())?;
    let token = Some(given.session_token().to_owned());
    let credentials = Credentials::new(given.access_key_id(), given.secret_access_key(), token, Some(ends), "Mfa");
    Ok(Session { credentials, began: heard::clock().there(SystemTime::now()), ends, of: named(role) })
}

/// The only difference to a role that lets nobody in is in the text.
fn is_wrong_code(error: &AwsError) -> bool {
    error.denied() && error.message.contains("invalid MFA one time pass code")
}

fn is_wrong_device(error: &AwsError) -> bool {
    error.denied() && error.message.contains("MultiFactorAuthentication failed")
}

fn wrong_device(role: &Role, error: &AwsError) -> NoSession {
    NoSession {
        what: error.to_string(),
        mend: format!(
            "correct mfa_serial of AWS profile `{}`: `aws iam list-mfa-devices` prints the devices of the user whose keys these are",
            role.profile
        ),
    }
}

fn named(role: &Role) -> String {
    if role.of_flag { format!("{} (--assume-role)", role.arn) } else { format!("AWS profile `{}`", role.profile) }
}

/// How to do without a terminal.
fn nobody(role: &Role, serial: &str) -> NoSession {
    let profile = &role.profile;
    let how = if role.of_flag {
        // The AWS CLI asks for codes only where the profile itself has the role.
        format!(
            "get a session with `aws sts assume-role --profile {profile} --role-arn {} --role-session-name {} --serial-number {serial} \
             --token-code CODE`, export its keys as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
            role.arn, role.session_name
        )
    } else {
        format!(
            "get a session on a terminal with `eval \"$(aws configure export-credentials --profile {profile} --format env)\"`"
        )
    };
    let without = if role.of_flag { "--profile and --assume-role" } else { "--profile" };
    NoSession {
        what: format!(
            "{} requires a code from the MFA device `{serial}`, and there is no terminal to ask on",
            named(role)
        ),
        mend: format!("{how}, then run the same command without {without}"),
    }
}

/// The session that a code gave, until its end.
#[derive(Debug, Clone)]
struct Session {
    credentials: Credentials,
    began: SystemTime,
    ends: SystemTime,
    of: String,
}

impl Session {
    fn at(&self, now: SystemTime) -> Result<Credentials, NoSession> {
        if now < self.ends {
            return Ok(self.credentials.clone());
        }
        let lasted = self.ends.duration_since(self.began).unwrap_or_default();
        Err(NoSession::over(&self.of, (lasted.as_secs() + 30) / 60))
    }
}

impl ProvideCredentials for Session {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        // AWS says by its own clock when it ends.
        let now = heard::clock().there(SystemTime::now());
        future::ProvideCredentials::ready(self.at(now).map_err(CredentialsError::provider_error))
    }
}

#[cfg(all(test, feature = "sandbox"))]
mod tests;
