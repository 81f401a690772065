//! What a run of helm left that was ended before it was done. Helm records `failed` on SIGTERM while it installs or upgrades;
//! uninstall and rollback have no such care, and SIGKILL leaves none, so that the record is read afterwards.

use std::time::Duration;

use crate::error::Error;
use crate::read::kube::KubeRead;
use crate::read::release;
use crate::stop::Stops;

/// For so long the record is read, and never longer than the program may last.
const READ: Duration = Duration::from_secs(3);
/// What is left for telling it.
const REST: Duration = Duration::from_millis(600);

/// The error that says in which state `what` was left.
pub(super) async fn told(kube: &KubeRead, stops: &Stops, namespace: &str, name: &str, what: &str) -> Error {
    let record = tokio::select! {
        history = release::history(kube, namespace, name) => history.ok(),
        () = stops.nearly_over(REST) => None,
        () = over(READ) => None,
    };
    let left = match &record {
        None => "its record could not be read in time".to_owned(),
        Some(history) => {
            history.first().map_or_else(|| "there is no record of it".to_owned(), |last| says(&last.status))
        }
    };
    Error::Stopped { what: format!("{what} was ended, {left}") }
}

async fn over(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}

/// The state of the record, for people.
fn says(status: &str) -> String {
    if status.starts_with("pending-") || status == "uninstalling" {
        format!("its record was left `{status}`")
    } else {
        format!("its record says `{status}`")
    }
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn a_record_that_was_left_pending_is_told_from_one_that_was_closed() {
        assert_eq!(says("failed"), "its record says `failed`");
        assert_eq!(says("pending-upgrade"), "its record was left `pending-upgrade`");
        assert_eq!(says("uninstalling"), "its record was left `uninstalling`");
    }
}
