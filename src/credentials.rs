//! AWS credentials for everything in a run, from one place: loaded once for all who need them, renewed ahead of their end,
//! and never waited for longer than a call may take. Programs (`credential_process`), SSO portals, roles and the metadata
//! service are asked by the SDK's own providers behind it.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use crate::child::Host;
use crate::error::{Error, Result, chain_of};
use crate::flight::Renewal;
use crate::heard;
use crate::limits::{self, AWS_OPERATION};

/// A provider that keeps what another one gave.
#[derive(Clone)]
pub(crate) struct Kept {
    inner: SharedCredentialsProvider,
    renewal: Renewal<Credentials>,
    starts_programs: bool,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Kept {
    /// Keeps what `inner` gives.
    pub(crate) fn new(inner: SharedCredentialsProvider) -> Kept {
        Kept { inner, renewal: Renewal::default(), starts_programs: false }
    }

    /// The same for a provider that may start programs (`credential_process`), which the SDK leaves running when their time
    /// is over.
    pub(crate) fn of_profile(inner: SharedCredentialsProvider) -> Kept {
        Kept { starts_programs: true, ..Kept::new(inner) }
    }

    async fn at(&self, now: SystemTime) -> Result<Credentials> {
        let (inner, starts_programs) = (self.inner.clone(), self.starts_programs);
        self.renewal.get(now, || load(inner, starts_programs.then(Host::new))).await
    }
}

async fn load(inner: SharedCredentialsProvider, programs: Option<Host>) -> Result<(Credentials, Option<SystemTime>)> {
    let limit = AWS_OPERATION.get();
    let failed = |text: String| Error::Credentials { source: text.into() };
    let loaded = tokio::time::timeout(limit, inner.provide_credentials()).await;
    if let (Err(_), Some(programs)) = (&loaded, programs) {
        programs.end();
    }
    match loaded {
        Ok(Ok(credentials)) => {
            let ends = credentials.expiry();
            Ok((credentials, ends))
        }
        // Only the innermost text says which providers were asked and why each had nothing.
        Ok(Err(error)) => Err(failed(chain_of(&error).pop().unwrap_or_default())),
        Err(_) => Err(failed(format!(
            "no answer from the profile's credentials (credential_process, SSO or a role) within {}",
            limits::shown(limit)
        ))),
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            // AWS says by its own clock when they end.
            self.at(heard::clock().there(SystemTime::now())).await.map_err(|error| match error {
                Error::Credentials { source } => CredentialsError::provider_error(source),
                other => CredentialsError::provider_error(other),
            })
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests wait")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// Credentials that take a while and live for two minutes.
    #[derive(Debug, Clone, Default)]
    struct Slow(Arc<AtomicUsize>);

    impl ProvideCredentials for Slow {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let ends = SystemTime::now() + Duration::from_mins(2);
                let number = self.0.fetch_add(1, Ordering::SeqCst);
                Ok(Credentials::new(format!("AKID{number}"), "secret", None, Some(ends), "slow"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_for_slow_credentials_start_one_program() {
        let slow = Slow::default();
        let kept = Kept::new(SharedCredentialsProvider::new(slow.clone()));
        let began = tokio::time::Instant::now();
        let all = futures::future::join_all((0..50).map(|_| kept.provide_credentials()));
        let all = tokio::time::timeout(Duration::from_secs(20), all).await.expect("it hangs");
        assert!(all.into_iter().all(|credentials| credentials.unwrap().access_key_id() == "AKID0"));
        kept.provide_credentials().await.unwrap();
        assert_eq!((slow.0.load(Ordering::SeqCst), began.elapsed()), (1, Duration::from_secs(3)));
        // A minute before their end the next ones are made, and nobody waits for them.
        let later = SystemTime::now() + Duration::from_secs(70);
        let asked = tokio::time::Instant::now();
        assert_eq!(kept.at(later).await.unwrap().access_key_id(), "AKID0");
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }

    #[derive(Debug)]
    struct Silent;

    impl ProvideCredentials for Silent {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_never_come_are_given_up() {
        let kept = Kept::new(SharedCredentialsProvider::new(Silent));
        let error = kept.provide_credentials().await.unwrap_err();
        let text = chain_of(&error).join(": ");
        assert!(text.contains("credential_process") && text.contains("within 2 min"), "{text}");
    }
}
