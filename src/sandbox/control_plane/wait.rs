//! Waits until something that was just started is there, and gives up with what was seen last.
//!
//! Not a retry of writes and not the engine's settling: only the start sequence uses it, against processes of ours.

use std::time::Duration;

use tokio::time::Instant;

use super::ControlPlaneError;

/// Short, because everything awaited is on this machine.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `probe` until it returns `Ok(value)`; its `Err` says what was seen instead.
pub(super) async fn until<T, P>(what: &str, limit: Duration, mut probe: P) -> Result<T, ControlPlaneError>
where
    P: AsyncFnMut() -> Result<Result<T, String>, ControlPlaneError>,
{
    let begin = Instant::now();
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(observed) if begin.elapsed() >= limit => {
                return Err(ControlPlaneError::NotReady { what: what.to_owned(), waited: limit, observed });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn returns_what_appears_and_reports_what_does_not() {
        let mut calls = 0;
        let found = until("it", Duration::from_secs(1), async || {
            calls += 1;
            Ok(if calls == 3 { Ok(calls) } else { Err("nothing yet".to_owned()) })
        })
        .await;
        assert_eq!(found.unwrap(), 3);
        let missing: Result<(), _> =
            until("it", Duration::from_secs(7), async || Ok(Err("still nothing".into()))).await;
        assert_eq!(missing.unwrap_err().to_string(), "it not ready after 7 s: still nothing");
    }
}
