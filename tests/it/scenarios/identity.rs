//! Identity and ownership: who the controllers are to AWS, what they may do, and whom their objects belong to.

use super::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn look() {
    let stage = Stage::start().await;
    let run = stage.lab.run(&["verify"]).await;
    eprintln!("{}\n{}", run.stdout, run.stderr);
    let calls = stage.lab.sandbox.simulator.calls();
    eprintln!("{}", calls.len());
    stage.lab.forget();
    let t = std::time::Instant::now();
    stage.lab.run(&["verify"]).await;
    eprintln!("{:?}", t.elapsed());
    for call in stage.lab.sandbox.simulator.calls() {
        eprintln!("{}:{} {:?}", call.service, call.operation, call.error);
    }
    let run = stage.lab.run(&["verify", "--pre"]).await;
    eprintln!("{}\n{}", run.stdout, run.stderr);
    stage.stop().await;
}
