#![expect(clippy::disallowed_methods, reason = "tests wait")]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

/// Ends a test that hangs.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("it hangs")
}

#[tokio::test]
async fn all_who_ask_at_once_get_the_result_of_one() {
    let (flights, count) = (Flights::<&str, usize>::default(), Arc::new(AtomicUsize::new(0)));
    let ask = || {
        let count = count.clone();
        flights.get("a", move || async move {
            tokio::task::yield_now().await;
            Ok(count.fetch_add(1, Ordering::SeqCst))
        })
    };
    assert_eq!(soon(async { tokio::try_join!(ask(), ask(), ask()) }).await.unwrap(), (0, 0, 0));
    assert_eq!(soon(ask()).await.unwrap(), 0);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_first_who_asks_need_not_be_polled_for_the_others() {
    let flights = Flights::<&str, u8>::default();
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(7)
    };
    let mut first = std::pin::pin!(flights.get("a", slow));
    // Polled once, and then never again: as work is that waits for its own progress to be read.
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(soon(flights.get("a", slow)).await.unwrap(), 7);
}

#[tokio::test]
async fn a_failure_is_told_to_all_and_forgotten() {
    let flights = Flights::<&str, u8>::default();
    let bad = || async { Err(Error::HelmNotFound { looked: "there".to_owned() }) };
    let (one, two) = soon(async { tokio::join!(flights.get("a", bad), flights.get("a", bad)) }).await;
    for error in [one, two] {
        assert!(matches!(error.unwrap_err(), Error::HelmNotFound { looked } if looked == "there"));
    }
    assert_eq!(soon(flights.get("a", || async { Ok(1) })).await.unwrap(), 1);
}

#[tokio::test]
async fn a_task_that_panics_is_begun_anew() {
    let flights = Flights::<&str, u8>::default();
    let panics = || async { panic!("it does") };
    assert!(soon(flights.get("a", panics)).await.is_err());
    assert_eq!(soon(flights.get("a", || async { Ok(1) })).await.unwrap(), 1);
}

/// Values that count up and live for a while after `now`.
fn next(
    count: &Arc<AtomicUsize>,
    ends: SystemTime,
) -> impl FnOnce() -> futures::future::BoxFuture<'static, Result<(usize, Option<SystemTime>)>> + use<> {
    let count = count.clone();
    move || Box::pin(async move { Ok((count.fetch_add(1, Ordering::SeqCst), Some(ends))) })
}

async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_lives_for_two_minutes_is_renewed_at_half_of_it_and_nobody_waits() {
    let (renewal, count) = (Renewal::default(), Arc::new(AtomicUsize::new(0)));
    let begin = start();
    let at = |seconds| {
        let now = begin + Duration::from_secs(seconds);
        renewal.get(now, next(&count, now + 2 * MINUTE))
    };
    assert_eq!(soon(at(0)).await.unwrap(), 0);
    assert_eq!(soon(at(59)).await.unwrap(), 0);
    // The old one is still good while the next is made.
    assert_eq!(soon(at(60)).await.unwrap(), 0);
    settled().await;
    assert_eq!(soon(at(61)).await.unwrap(), 1);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    // Nothing good is left now.
    assert_eq!(soon(at(600)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_renewal_that_fails_is_not_repeated_at_once_and_the_value_is_used_to_its_end() {
    let (renewal, count) = (Renewal::default(), Arc::new(AtomicUsize::new(0)));
    let begin = start();
    soon(renewal.get(begin, next(&count, begin + 10 * MINUTE))).await.unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let fails = |now| {
        let tries = tries.clone();
        renewal.get(now, move || async move {
            tries.fetch_add(1, Ordering::SeqCst);
            Err(Error::HelmNotFound { looked: String::new() })
        })
    };
    for second in 0..5 {
        assert_eq!(soon(fails(begin + 8 * MINUTE + Duration::from_secs(second))).await.unwrap(), 0);
        settled().await;
    }
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    assert!(soon(fails(begin + 10 * MINUTE)).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_is_made_once_unless_it_is_refused() {
    let (renewal, count) = (Renewal::default(), Arc::new(AtomicUsize::new(0)));
    let make = || {
        let count = count.clone();
        move || async move { Ok((count.fetch_add(1, Ordering::SeqCst), None)) }
    };
    assert_eq!(soon(renewal.get(start(), make())).await.unwrap(), 0);
    assert_eq!(soon(renewal.get(start() + Duration::from_hours(9), make())).await.unwrap(), 0);
    renewal.forget();
    assert_eq!(soon(renewal.get(start(), make())).await.unwrap(), 1);
}
