#![expect(clippy::disallowed_methods, reason = "tests wait")]

use super::*;

fn send(sender: &watch::Sender<Option<Heard>>, stop: Stop) {
    sender.send_modify(|heard| *heard = Some(Heard::after(*heard, stop, Instant::now())));
}

/// How long `work` takes in paused time; none where it does not end within ten minutes.
async fn took(work: impl Future) -> Option<f64> {
    let began = Instant::now();
    tokio::time::timeout(Duration::from_mins(10), work).await.ok().map(|_| began.elapsed().as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn only_a_single_ctrl_c_sets_no_end() {
    for (signals, end) in [
        (&[Stop::Interrupted][..], None),
        (&[Stop::Terminated], Some(8.5)),
        (&[Stop::HungUp], Some(8.5)),
        (&[Stop::Interrupted, Stop::Interrupted], Some(1.5)),
        (&[Stop::Interrupted, Stop::Terminated], Some(1.5)),
        (&[Stop::Terminated, Stop::Interrupted], Some(1.5)),
    ] {
        let (sender, stops) = Stops::by_hand();
        for stop in signals {
            send(&sender, *stop);
        }
        assert_eq!(stops.heard().unwrap().stop, signals[0]);
        assert_eq!(took(stops.nearly_over(Duration::ZERO)).await, end, "{signals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_brings_the_end_nearer_for_those_who_wait_already() {
    let (sender, stops) = Stops::by_hand();
    send(&sender, Stop::Terminated);
    let again = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        send(&sender, Stop::Terminated);
    };
    assert_eq!(took(async { tokio::join!(stops.nearly_over(Duration::from_millis(500)), again) }).await, Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn who_claims_the_stop_is_cut_off_only_when_the_time_is_over() {
    let (sender, stops) = Stops::by_hand();
    assert!(!stops.ever_claimed());
    let claim = stops.claim();
    send(&sender, Stop::Interrupted);
    assert_eq!(took(stops.cut_off()).await, None);
    send(&sender, Stop::Terminated);
    assert_eq!(took(stops.cut_off()).await, Some(1.5));
    let (sender, stops) = Stops::by_hand();
    send(&sender, Stop::HungUp);
    assert_eq!(took(stops.cut_off()).await, Some(0.0), "nobody claims it");
    drop(claim);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_can_no_longer_come_stops_nothing() {
    let (sender, stops) = Stops::by_hand();
    drop(sender);
    assert_eq!(took(stops.first()).await, None);
    assert_eq!(took(stops.nearly_over(Duration::ZERO)).await, None);
    assert_eq!(took(stops.cut_off()).await, None);
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    assert_eq!([Stop::HungUp, Stop::Interrupted, Stop::Terminated].map(Stop::exit_code), [129, 130, 143]);
}
