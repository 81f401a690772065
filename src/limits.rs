//! How long anything outside this program may take, in one table. Whatever waits for another program or machine waits for
//! one of these; `--timeout` bounds the step around it.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::config;

/// One try of an AWS call, from the connection to the last byte.
pub(crate) static AWS_ATTEMPT: Limit = Limit::seconds(30);
/// An AWS call with all its tries, and the loading of credentials, which may be a program, an SSO portal or a role's.
pub(crate) static AWS_OPERATION: Limit = Limit::seconds(120);
/// Somebody who is asked for the code of an MFA device, which may be in another room.
pub(crate) static MFA_CODE: Limit = Limit::seconds(300);
/// A request to the API server, from the connection to the last byte; webhooks may take 30 s of it.
pub(crate) static KUBE_REQUEST: Limit = Limit::seconds(60);
/// A plugin of the user's kubeconfig that signs in; some open a browser.
pub(crate) static EXEC_PLUGIN: Limit = Limit::seconds(60);
/// Downloading a chart.
pub(crate) static CHART_PULL: Limit = Limit::seconds(300);
/// A run of helm that asks nobody: its version, a rendered chart.
pub(crate) static HELM_LOCAL: Limit = Limit::seconds(60);
/// By how much a run of helm may outlast its own `--timeout`, which ends its waiting and not its last requests.
pub(crate) static HELM_GRACE: Limit = Limit::seconds(30);
/// By how much a step may outlast `--timeout`: what bounds itself by the same time explains more than we can.
pub(crate) static STEP_GRACE: Limit = Limit::seconds(4);

/// The most that an answer of AWS may hold: a page of a hundred route tables with the usual fifty routes each is 2 MiB, with all the thousand
/// routes that AWS grants on request 30 MiB.
pub(crate) const AWS_ANSWER: usize = 32 << 20;
/// The most that an answer of the API server may hold: ten revisions of a release are 10 MiB, a page of CRDs less.
pub(crate) const KUBE_ANSWER: usize = 64 << 20;
/// The most that a child may write to its standard output; a rendered chart is 1 MiB.
pub(crate) const CHILD_OUTPUT: usize = 64 << 20;
/// As much is kept of what a child writes to its standard error, its end.
pub(crate) const CHILD_ERRORS: usize = 64 << 10;

static HASTE: LazyLock<u32> = LazyLock::new(config::haste);

/// A limit; tests shorten all of them by one factor.
pub(crate) struct Limit(Duration);

impl Limit {
    const fn seconds(seconds: u64) -> Limit {
        Limit(Duration::from_secs(seconds))
    }

    /// How long.
    pub(crate) fn get(&self) -> Duration {
        self.0 / *HASTE
    }
}

tokio::task_local! {
    /// When the step that this task works for has used up its time.
    static END: Instant;
}

/// Runs the work of a step that has until `end`.
pub(crate) fn until<F: Future>(end: Instant, work: F) -> impl Future<Output = F::Output> {
    END.scope(end, work)
}

/// What is left of the step's time, but no more than `most` and at least a second: a program that bounds itself by it can
/// still say why it did not get further.
pub(crate) fn left(most: Duration) -> Duration {
    let left = END.try_with(|end| end.saturating_duration_since(Instant::now())).unwrap_or(most);
    left.clamp(Duration::from_secs(1), most.max(Duration::from_secs(1)))
}

/// A time as messages write it: `30 s`, `2 min`, `1.5 s`.
pub(crate) fn shown(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (seconds, 0) if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        (seconds, 0) => format!("{seconds} s"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests wait")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_program_gets_what_is_left_of_its_step() {
        let minute = Duration::from_mins(1);
        assert_eq!(left(minute), minute);
        let step = until(Instant::now() + minute, async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            (left(minute), left(Duration::from_secs(5)))
        });
        assert_eq!(step.await, (Duration::from_secs(40), Duration::from_secs(5)));
        assert_eq!(until(Instant::now(), async { left(minute) }).await, Duration::from_secs(1));
    }

    #[test]
    fn times_are_readable() {
        let texts = [30_000, 60_000, 120_000, 90_000, 1_500].map(|millis| shown(Duration::from_millis(millis)));
        assert_eq!(texts, ["30 s", "60 s", "2 min", "90 s", "1.5 s"]);
    }
}
