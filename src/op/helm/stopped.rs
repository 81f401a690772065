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
    let status = record.map(|history| history.first().map(|release| release.status.clone()));
    Error::Stopped { what: format!("{what} was ended, {}", says(status.as_ref().map(Option::as_deref))) }
}

async fn over(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}

/// The state of the record, for people; none where it was not read in time.
fn says(status: Option<Option<&str>>) -> String {
    match status {
        None => "its record could not be read in time".to_owned(),
        Some(None) => "there is no record of it".to_owned(),
        Some(Some(status)) if status.starts_with("pending-") || status == "uninstalling" => {
            format!("its record was left `{status}`")
        }
        Some(Some(status)) => format!("its record says `{status}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn a_record_that_was_left_pending_is_told_from_one_that_was_closed() {
        assert_eq!(says(Some(Some("failed"))), "its record says `failed`");
        assert_eq!(says(Some(Some("pending-upgrade"))), "its record was left `pending-upgrade`");
        assert_eq!(says(Some(None)), "there is no record of it");
        assert_eq!(says(None), "its record could not be read in time");
    }
}
