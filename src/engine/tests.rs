//! The engine with steps that hang, in paused time: a test that waits for something real would take minutes.

#![expect(clippy::disallowed_methods, reason = "tests wait")]

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use clap::Parser as _;
use tokio::sync::watch;

use super::*;
use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::helm_process::Helm;
use crate::kube_client::KubeTarget;
use crate::op::Op;
use crate::op::kube::{KubeOp, KubeWrite};
use crate::plan::ResourceId;
use crate::read::chart::ChartRead;
use crate::read::kube::{KubeRead, ObjectRef};
use crate::stop::{Heard, Stop};

/// What a step does when it is asked.
#[derive(Default)]
struct Fake {
    /// The lock that work and look share, as a cache may be.
    shared: tokio::sync::Mutex<()>,
    /// How often the proof takes the lock.
    proofs: usize,
    /// How long a look holds it.
    look: Duration,
    /// Writes an object first.
    writes: bool,
    /// Work and look read kinds that the API server does not serve.
    absent: bool,
}

/// Reads a kind of a group that is not served.
async fn gateways(cx: &ReadContext) -> Result<()> {
    let found = cx.kube.list("gateway.networking.k8s.io/v1", "Gateway", "", "").await?;
    assert!(found.is_empty());
    Ok(())
}

fn change() -> Change {
    let object = ObjectRef::new("v1", "ConfigMap", "n", "x");
    Change { resource: ResourceId(object.to_string()), fields: Vec::new(), op: Op::Kube(KubeOp::Delete { object }) }
}

#[async_trait]
impl Step for Fake {
    fn id(&self) -> StepId {
        StepId::new("fake.step")
    }

    fn needs(&self) -> Vec<StepId> {
        Vec::new()
    }

    fn resource(&self) -> ResourceId {
        ResourceId("Fake/x".to_owned())
    }

    async fn plan(&self, _cx: &ReadContext, _goal: Goal) -> Result<Assessment> {
        Ok(if self.writes { Assessment::update("it differs", vec![change()]) } else { Assessment::prove("it works") })
    }

    async fn prove(&self, cx: &ReadContext) -> Result<()> {
        if self.absent {
            for _ in 0..8 {
                gateways(cx).await?;
            }
            return Ok(());
        }
        if self.proofs == 0 {
            std::future::pending::<()>().await;
        }
        for _ in 0..self.proofs {
            drop(self.shared.lock().await);
            tokio::time::sleep(Duration::from_millis(1300)).await;
        }
        Ok(())
    }

    async fn progress(&self, cx: &ReadContext) -> Option<String> {
        if self.absent {
            gateways(cx).await.ok()?;
        }
        let _held = self.shared.lock().await;
        tokio::time::sleep(self.look).await;
        Some("1/2 ready".to_owned())
    }
}

/// An engine on a cluster that takes connections and stays silent, and the plan of its one step.
struct Lab {
    engine: Engine,
    plan: Plan,
    events: mpsc::UnboundedReceiver<Event>,
    signals: watch::Sender<Option<Heard>>,
    _folder: tempfile::TempDir,
}

async fn lab(step: Fake) -> Lab {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, step.absent));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let document = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    std::fs::write(&path, document.to_string()).unwrap();
    let target = KubeTarget::Kubeconfig { path, context: None };

    let cli =
        Cli::try_parse_from(["eks-bootstrap", "plan", "-c", "demo", "-r", "eu-west-1", "--timeout", "60s"]).unwrap();
    let Command::Plan(args) = &cli.command else { panic!("another command") };
    let config = Arc::new(Config::resolve(&cli.global, &args.wanted, &args.selection).unwrap());
    let facts = Arc::new(crate::context::tests::facts());
    let aws = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .build();
    let kube = KubeRead::connect(&target).await.unwrap();
    let (helm, charts) = (Helm::new(None), ChartRead::new(Helm::new(None)));
    let read = ReadContext {
        iam: crate::read::iam::IamRead::new(&aws),
        eks: crate::read::eks::EksRead::new(&aws),
        sts: crate::read::sts::StsRead::new(&aws),
        ec2: crate::read::ec2::Ec2Read::new(&aws),
        tagging: crate::read::tagging::TaggingRead::new(&aws),
        elb: crate::read::elbv2::ElbRead::new(&aws),
        accelerators: None,
        dry_runs: false,
        kube: kube.clone(),
        charts: charts.clone(),
        facts: facts.clone(),
        config: config.clone(),
    };
    let write = WriteContext {
        iam: crate::op::iam::IamWrite::new(&aws),
        eks: crate::op::eks::EksWrite::new(&aws),
        kube: KubeWrite::connect(&target).await.unwrap(),
        helm: crate::op::helm::HelmWrite::new(&config, &facts, &target, helm, charts, kube).unwrap(),
    };
    let assessment = step.plan(&read, Goal::Present).await.unwrap();
    let planned = PlannedStep {
        id: step.id(),
        needs: Vec::new(),
        after: Vec::new(),
        resource: step.resource(),
        held_by: None,
        assessment,
    };
    let plan = Plan { goal: Goal::Present, target: facts.target(), steps: vec![planned], diagnostics: Vec::new() };
    let (sender, events) = mpsc::unbounded_channel();
    let (signals, stops) = Stops::by_hand();
    let all: BTreeMap<StepId, Arc<dyn Step>> = BTreeMap::from([(step.id(), Arc::new(step) as Arc<dyn Step>)]);
    let engine = Engine {
        steps: all,
        read,
        write,
        events: sender,
        stops,
        patience: config.timeout(),
        waiting: Waiting::default(),
    };
    Lab { engine, plan, events, signals, _folder: folder }
}

/// An API server that stays silent, or takes a while to say that it does not serve a group.
async fn serve(listener: tokio::net::TcpListener, answers: bool) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut silent = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        if !answers {
            silent.push(stream);
            continue;
        }
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let text = "404 page not found\n";
                let head =
                    format!("HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: {}", text.len());
                if stream.write_all(format!("{head}\r\n\r\n{text}").as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

impl Lab {
    /// Runs the plan; gives the outcome of its step, the summary, what was told when a signal came, and how long it took.
    async fn run(&mut self, signals: &[(u64, Stop)]) -> (Outcome, Summary, Vec<Event>, Duration) {
        let began = tokio::time::Instant::now();
        let sending = async {
            for (seconds, stop) in signals {
                tokio::time::sleep_until(began + Duration::from_secs(*seconds)).await;
                self.signals
                    .send_modify(|heard| *heard = Some(Heard::after(*heard, *stop, tokio::time::Instant::now())));
            }
        };
        let run = tokio::time::timeout(Duration::from_mins(30), self.engine.run(&self.plan));
        let (summary, ()) = tokio::join!(run, sending);
        let took = began.elapsed();
        let summary = summary.expect("it hangs");
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        let outcome = events.iter().find_map(|event| match event {
            Event::StepFinished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        events.retain(|event| matches!(event, Event::Stopping { .. } | Event::StepProgress { .. }));
        (outcome.unwrap(), summary, events, took)
    }
}

fn cancelled(outcome: &Outcome) -> &Cancelled {
    match outcome {
        Outcome::Cancelled(cancelled) => cancelled,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_holds_what_the_work_needs_hangs_neither() {
    let step = Fake { proofs: 8, look: Duration::from_millis(1700), ..Fake::default() };
    let (outcome, _, events, took) = lab(step).await.run(&[]).await;
    assert!(matches!(outcome, Outcome::Proved { .. }), "{outcome:?}");
    assert!(took < Duration::from_mins(1), "{took:?}");
    assert!(events.iter().any(|event| matches!(event, Event::StepProgress { message, .. } if message == "1/2 ready")));
}

#[tokio::test]
async fn groups_that_are_not_served_are_asked_for_by_work_and_look_at_once() {
    let mut lab = lab(Fake { absent: true, ..Fake::default() }).await;
    let (outcome, ..) = tokio::time::timeout(Duration::from_secs(30), lab.run(&[])).await.expect("it hangs");
    assert!(matches!(outcome, Outcome::Proved { .. }), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_never_ends_does_not_silence_the_step() {
    let step = Fake { proofs: 8, look: Duration::from_hours(9), ..Fake::default() };
    // The look holds the lock that the work needs: only the step's time ends it.
    let (outcome, _, events, took) = lab(step).await.run(&[]).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(took <= Duration::from_secs(65), "{took:?}");
    assert!(events.len() > 50, "{}", events.len());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_ends_with_its_time_and_is_named() {
    let (outcome, summary, _, took) = lab(Fake::default()).await.run(&[]).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.message, "fake.step: reading: 1/2 ready did not end within 60 s");
    assert!(took <= Duration::from_secs(65), "{took:?}");
    assert_eq!(summary.exit_code, crate::exit_code::FAILED);
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_broken_off_by_any_signal_at_once() {
    for (stop, code) in [(Stop::Interrupted, 130), (Stop::Terminated, 143), (Stop::HungUp, 129)] {
        let (outcome, summary, events, took) = lab(Fake::default()).await.run(&[(5, stop)]).await;
        assert_eq!(cancelled(&outcome), &Cancelled::default());
        assert_eq!((summary.exit_code, took), (code, Duration::from_secs(5)));
        let told = events.iter().find(|event| matches!(event, Event::Stopping { .. }));
        // A step that ends at once leaves nothing to wait for.
        assert!(told.is_none_or(|event| matches!(event, Event::Stopping { waits_for, .. } if waits_for.is_empty())));
    }
}

/// A write to an API server that stays silent, with signals; what is half done, the exit code and the time.
async fn silent_write(signals: &[(u64, Stop)]) -> (Outcome, u8, Vec<Event>, Duration) {
    let (outcome, summary, events, took) = lab(Fake { writes: true, ..Fake::default() }).await.run(signals).await;
    (outcome, summary.exit_code, events, took)
}

#[tokio::test(start_paused = true)]
async fn a_write_in_flight_is_awaited_after_ctrl_c_and_broken_off_by_the_second_signal() {
    let (outcome, code, events, took) = silent_write(&[(5, Stop::Interrupted), (12, Stop::Terminated)]).await;
    let left = cancelled(&outcome);
    assert_eq!(left.half_done, ["k8s:delete ConfigMap ConfigMap/n/x"]);
    assert_eq!((left.finished.len(), left.remains.len(), code), (0, 0, 130));
    assert!(took > Duration::from_secs(12) && took < Duration::from_secs(14), "{took:?}");
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Stopping { waits_for, .. } => Some((waits_for[0].call.as_str(), waits_for[0].seconds)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("k8s:delete ConfigMap ConfigMap/n/x", 64), ("k8s:delete ConfigMap ConfigMap/n/x", 1)]);
}

#[tokio::test(start_paused = true)]
async fn sigterm_alone_ends_a_silent_write_within_ten_seconds() {
    let (outcome, code, _, took) = silent_write(&[(5, Stop::Terminated)]).await;
    assert_eq!(cancelled(&outcome).half_done.len(), 1);
    assert_eq!(code, 143);
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_write_ends_by_itself_and_is_named_with_the_server() {
    let (outcome, code, _, took) = silent_write(&[]).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    let text = [failure.message, failure.causes.join(": ")].join(": ");
    assert!(text.contains("127.0.0.1") || text.contains("ConfigMap/n/x"), "{text}");
    assert_eq!(code, crate::exit_code::FAILED);
    assert!(took <= Duration::from_secs(65), "{took:?}");
}
