//! The AWS simulator: the few operations of IAM, STS, EKS, EC2, Elastic Load Balancing, Global Accelerator and the tagging API
//! that the product calls, small and strict.
//!
//! It stands below the AWS SDK as an HTTP connector (`Simulator::http_client`) and behind a loopback address (`Simulator::serve`), with
//! the same code. The sandbox command and the tests start it from a [`Seed`]. It keeps AWS's error codes, pages, limits and delays; what it
//! does not know it answers with 501, never with a made-up success. It is not a general mock of AWS: it has no users, no EC2, no quotas
//! beyond the ones that the product can meet.
//!
//! A call goes: `wire` (which operation) -> latency -> `fault` -> `auth` -> the service -> `record` -> `wire` (the answer).

mod accelerator;
mod auth;
mod clock;
mod connector;
mod document;
mod ec2;
mod eks;
mod elb;
mod error;
mod fault;
mod form;
mod front;
mod iam;
mod installation;
mod jwt;
mod mfa;
mod need;
mod paging;
mod partition;
mod permission;
mod pod_identity;
mod pod_role;
mod quotas;
mod record;
mod recreation;
mod seed;
mod seed_check;
mod seed_cluster;
mod seed_network;
mod sigv4;
mod spread;
mod sts;
mod tagged;
mod tagging;
mod token;
mod trust;
mod wire;
mod world;
mod xml;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;

pub use auth::{AccessKey, Principal};
pub use clock::{Clock, ManualClock};
pub use fault::{At, Effect, Fault};
pub use front::Front;
pub use installation::{AddonObjects, Installation, OnConflict};
pub use pod_role::{AwsRefusal, PodCall};
pub use quotas::SeedQuotas;
pub use record::Call;
pub use seed::{
    Seed, SeedCaller, SeedCredential, SeedError, SeedMfaDevice, SeedOrganization, SeedPolicy, SeedProvider,
    SeedResource, SeedRole, SeedSubnet, Tags,
};
pub use seed_cluster::{
    SeedAccessEntry, SeedAddon, SeedAssociation, SeedCluster, SeedFargateProfile, SeedIssue, SeedNodegroup,
    SeedSelector,
};
pub use seed_network::{SeedInstance, SeedRule, SeedSecurityGroup};
pub(super) use world::digest;

use eks::cluster::Cluster;
use error::ApiError;
use sigv4::Signature;
use wire::{Input, Operation, Output, Service};
use world::{CallContext, World};

use crate::policy::Document;

/// A simulated AWS account; clones are the same account.
#[derive(Debug, Clone)]
pub struct Simulator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    world: World,
    faults: fault::Faults,
    calls: Vec<Call>,
    latency: Duration,
    /// Hosts under which fronts of this simulator answer.
    fronts: Vec<String>,
    answered: u64,
    first_key: AccessKey,
}

impl Simulator {
    /// Starts the account that a seed describes, on the system's clock.
    pub fn new(seed: Seed) -> Result<Self, SeedError> {
        Self::with_clock(seed, Clock::System)
    }

    /// Starts the account that a seed describes, on a clock of one's own.
    #[expect(clippy::needless_pass_by_value, reason = "a seed is used up by starting it")]
    pub fn with_clock(seed: Seed, clock: Clock) -> Result<Self, SeedError> {
        seed.check()?;
        let world = World::new(&seed, clock.now(), matches!(clock, Clock::System));
        let listed = seed.credentials.first().map(|credential| &credential.access_key_id);
        let first = listed.and_then(|id| world.credentials.get(id)).or_else(|| world.credentials.values().next());
        let first_key = first
            .map(|credential| AccessKey {
                access_key_id: credential.access_key_id.clone(),
                secret_access_key: credential.secret.clone(),
                session_token: credential.session_token.clone(),
            })
            .expect("a world has at least the built-in access key");
        let state = State {
            world,
            faults: fault::Faults::default(),
            calls: Vec::new(),
            latency: Duration::from_millis(seed.latency_ms),
            fronts: Vec::new(),
            answered: 0,
            first_key,
        };
        Ok(Self(Arc::new(Inner { clock, state: Mutex::new(state) })))
    }

    /// Returns an HTTP client for the AWS SDK that ends in this simulator.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(connector::Connector(self.clone()))
    }

    /// Answers on a loopback listener until the front is dropped.
    #[expect(
        clippy::unused_async,
        reason = "it must be called inside a runtime, which an async function makes sure of"
    )]
    pub async fn serve(&self, listener: TcpListener) -> Front {
        let front = front::serve(self.clone(), listener).expect("a bound listener has an address");
        let host = front.url().trim_start_matches("http://").to_owned();
        self.state().fronts.push(host);
        front
    }

    /// Returns the access key of the first caller of the seed.
    pub fn access_key(&self) -> AccessKey {
        self.state().first_key.clone()
    }

    /// Sets what the callers of the seed may do from now on; without a policy, everything. Sessions of roles are not concerned.
    pub fn set_caller_policy(&self, policy: Option<Document>) {
        self.state().world.caller_policy = policy;
    }

    /// Fills in where the API server of a cluster answers.
    pub fn set_cluster_endpoint(&self, cluster: &str, endpoint: &str, ca_pem: &str) {
        let mut state = self.state();
        for found in state.world.clusters.values_mut().filter(|found| found.name == cluster) {
            endpoint.clone_into(&mut found.endpoint);
            ca_pem.clone_into(&mut found.authority);
        }
    }

    /// Sets what brings nodes into a cluster: the size that each of its node groups is to have, and its Fargate profiles.
    pub fn set_capacity(&self, cluster: &str, nodes: u32, profiles: &[SeedFargateProfile]) {
        let mut state = self.state();
        for found in state.world.clusters.values_mut().filter(|found| found.name == cluster) {
            found.set_capacity(nodes, profiles.to_vec());
        }
    }

    /// Returns the OIDC issuer of a cluster.
    pub fn cluster_issuer(&self, cluster: &str) -> Option<String> {
        let state = self.state();
        state.world.clusters.values().find(|found| found.name == cluster).map(|found| found.issuer.clone())
    }

    /// Tells STS the keys of an issuer, as a JSON Web Key Set.
    pub fn set_issuer_keys(&self, issuer: &str, jwks: serde_json::Value) {
        self.state().world.issuer_keys.insert(issuer.to_owned(), jwks);
    }

    /// Checks an EKS bearer token for a cluster and returns whose it is, or why it is refused.
    pub fn authenticate_eks_token(&self, token: &str, cluster: &str) -> Result<Principal, String> {
        let now = self.0.clock.now();
        let state = self.state();
        let found = state.world.clusters.values().find(|found| found.name == cluster);
        let subject = found.map_or(cluster, Cluster::token_subject);
        token::authenticate(&state.world, now, &state.fronts, token, subject)
    }

    /// Returns the recorded calls in order.
    pub fn calls(&self) -> Vec<Call> {
        let mut calls = self.state().calls.clone();
        calls.sort_by_key(|call| call.number);
        calls
    }

    /// Forgets the recorded calls and pending faults; the next call is number 1.
    pub fn clear_calls(&self) {
        let mut state = self.state();
        state.calls.clear();
        state.faults.clear();
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Sets how long every call takes at least.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Writes the whole account down as JSON without times and generated ids, so that two accounts can be compared.
    pub fn snapshot(&self) -> serde_json::Value {
        let now = self.0.clock.now();
        let mut state = self.state();
        state.world.sweep(now);
        state.world.snapshot()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one HTTP request; `None` means that the connection breaks.
    async fn answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let signature = Signature::of(&request);
        let operation = match Operation::parse(&request, signature.as_ref()) {
            Ok(operation) => operation,
            Err(error) => return Some(self.refuse(signature.as_ref(), &request, &error)),
        };
        let (number, effect, latency, request_id) = {
            let mut state = self.state();
            let (number, effect) = state.faults.count(&operation.name, operation.is_write());
            (number, effect, state.latency, state.request_id())
        };
        tokio::time::sleep(latency).await;

        let mut call = Call {
            number,
            service: operation.service.name(),
            operation: operation.name.clone(),
            write: operation.is_write(),
            caller: None,
            parameters: record::summarise(operation.parameters().into_iter()),
            status: None,
            error: None,
            request_id: request_id.clone(),
        };
        let mut state = self.state();
        let result = match &effect {
            Some(Effect::Drop) => {
                state.calls.push(call);
                return None;
            }
            Some(Effect::Error { code, status, message }) => Err(ApiError::new(code, *status, message)),
            Some(Effect::Throttle) => Err(fault::throttled(operation.service)),
            Some(Effect::LoseAnswer) | None => {
                self.perform(&mut state.world, signature.as_ref(), &request, &operation, &mut call)
            }
        };
        let response = match result {
            Ok(output) => wire::success(operation.service, &operation.name, output, &request_id),
            Err(error) => {
                call.error = Some(error.code.clone());
                wire::failure(operation.service, &error, &request_id)
            }
        };
        let lost = effect == Some(Effect::LoseAnswer);
        call.status = (!lost).then(|| response.status().as_u16());
        state.calls.push(call);
        (!lost).then_some(response)
    }

    fn perform(
        &self,
        world: &mut World,
        signature: Option<&Signature>,
        request: &Request<Bytes>,
        operation: &Operation,
        call: &mut Call,
    ) -> error::Result<Output> {
        let now = self.0.clock.now();
        world.spread(now);
        world.sweep(now);
        if let Some(signature) = signature {
            auth::check_region(world, &signature.region, operation)?;
        }
        let caller = signature
            .map(|signature| auth::authenticate(world, now, operation.service, signature, request))
            .transpose()?;
        call.caller = caller.as_ref().map(|caller| caller.principal.arn.clone());
        let region = signature.map_or_else(|| world.region.clone(), |signature| signature.region.clone());
        let cx = CallContext { now, region, caller };
        auth::authorise(world, &cx, operation)?;
        match (&operation.input, operation.service) {
            (Input::Form(form), Service::Iam) => iam::unseen::call(world, &cx, &operation.name, form).map(Output::Xml),
            (Input::Form(form), Service::Ec2) => {
                ec2::call(world, &cx, &operation.name, form).map(|xml| Output::Xml(Some(xml)))
            }
            (Input::Form(form), Service::Elb) => {
                elb::call(world, &cx, &operation.name, form).map(|xml| Output::Xml(Some(xml)))
            }
            (Input::Form(form), _) => sts::call(world, &cx, &operation.name, form).map(Output::Xml),
            (Input::Json(input), Service::Eks) => eks::call(world, &cx, &operation.name, input).map(Output::Json),
            (Input::Json(input), Service::Accelerator) => {
                accelerator::call(world, &cx, &operation.name, input).map(Output::Json)
            }
            (Input::Json(input), _) => tagging::call(world, &cx, &operation.name, input).map(Output::Json),
        }
    }

    /// Answers a request that no operation could be read from.
    fn refuse(&self, signature: Option<&Signature>, request: &Request<Bytes>, error: &ApiError) -> Response<Bytes> {
        let service = match signature.map(|signature| signature.service.as_str()) {
            Some("eks") => Service::Eks,
            Some("tagging") => Service::Tagging,
            Some("iam") => Service::Iam,
            Some("ec2") => Service::Ec2,
            Some("elasticloadbalancing") => Service::Elb,
            Some("globalaccelerator") => Service::Accelerator,
            _ => Service::Sts,
        };
        let operation = format!("{} {}", request.method(), request.uri().path());
        let mut state = self.state();
        let (number, _) = state.faults.count(&operation, false);
        let request_id = state.request_id();
        state.calls.push(Call {
            number,
            service: service.name(),
            operation,
            write: false,
            caller: None,
            parameters: std::collections::BTreeMap::new(),
            status: Some(error.status),
            error: Some(error.code.clone()),
            request_id: request_id.clone(),
        });
        wire::failure(service, error, &request_id)
    }
}

impl State {
    /// Makes a request id that looks like AWS's.
    fn request_id(&mut self) -> String {
        self.answered += 1;
        let hex = world::digest(&format!("request {} {}", self.world.account, self.answered), 32);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
