//! The smoke workload: a small application that needs everything the controllers do, made for a few minutes and removed.
//!
//! `verify --deep` runs it, with consent; `smoke print` prints its manifests for people to start from. Unlike the checks of
//! `verify` it writes, so it has the writer of Kubernetes, and it cleans up whatever happens: also on failure, on Ctrl-C, and
//! after an earlier run that was killed.
//!
//! ```text
//! templates/smoke -> workload (pure) -> plan (reads, refuses) -> run (writes) -> look (reads) -> cleanup -> Report
//! ```

mod cleanup;
mod http;
mod look;
mod plan;
mod run;
mod workload;

use std::time::Duration;

use crate::stop::Stop;

pub use http::status as http_status;
pub use plan::{Plan, plan};
pub use run::{LONGEST_CLEANUP, run};
pub use workload::{DEFAULT_IMAGE, Part, Values, manifests};

/// The namespace of a run, unless the user names another.
pub const NAMESPACE: &str = "eks-bootstrap-smoke";
/// The StorageClass that is made where the cluster has none for gp3 volumes.
pub const STORAGE_CLASS: &str = "eks-bootstrap-smoke-gp3";
/// On everything that a run makes; what is left of a killed run is found by it.
pub const LABEL: &str = "eks-bootstrap.dev/smoke";

/// Who reaches the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheme {
    /// The networks that reach the VPC
    Internal,
    /// Everyone
    InternetFacing,
}

impl Scheme {
    /// The value of the Ingress' annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Internal => "internal",
            Scheme::InternetFacing => "internet-facing",
        }
    }
}

/// What a run is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespace to make.
    pub namespace: String,
    /// The image of every container.
    pub image: String,
    /// Who reaches the load balancer.
    pub scheme: Scheme,
    /// The StorageClass; none means the cluster's own for gp3, or a temporary one.
    pub storage_class: Option<String>,
    /// For how long everything together may take.
    pub timeout: Duration,
}

/// One thing that a run proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The namespace is made and takes restricted pods only.
    Namespace,
    /// The Deployment rolls out.
    Rollout,
    /// The claim is bound and its pod writes to the volume.
    Volume,
    /// The Ingress gets an address.
    Address,
    /// An HTTP request through that address is answered with 200.
    Http,
    /// The autoscaler reads the pods' CPU.
    Autoscaler,
    /// The disruption budget counts the pods.
    DisruptionBudget,
}

impl Aspect {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Aspect; 7] = [
        Aspect::Namespace,
        Aspect::Rollout,
        Aspect::Volume,
        Aspect::Address,
        Aspect::Http,
        Aspect::Autoscaler,
        Aspect::DisruptionBudget,
    ];

    /// A few words for it.
    pub fn title(self) -> &'static str {
        match self {
            Aspect::Namespace => "namespace",
            Aspect::Rollout => "rollout",
            Aspect::Volume => "volume",
            Aspect::Address => "load balancer address",
            Aspect::Http => "HTTP 200 through it",
            Aspect::Autoscaler => "autoscaler reads metrics",
            Aspect::DisruptionBudget => "disruption budget",
        }
    }
}

/// How an aspect ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It works; what was seen.
    Ok(String),
    /// It does not.
    Failed {
        /// What was seen last.
        cause: String,
        /// What to do.
        mend: String,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// An aspect and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SmokeResult {
    /// The aspect.
    pub aspect: Aspect,
    /// How it ended.
    pub ended: Ended,
    /// After how long.
    pub seconds: f64,
}

/// What happens during a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Left-overs of an earlier run are being removed.
    RemovingLeftOvers,
    /// The objects are being made.
    Making {
        /// How many.
        objects: usize,
    },
    /// An aspect has ended.
    Ended(SmokeResult),
    /// An aspect is still waited for; told when its cause changes, and every few seconds as a sign of life.
    Waiting {
        /// The aspect.
        aspect: Aspect,
        /// What was seen last.
        cause: String,
        /// For how long by now.
        seconds: f64,
    },
    /// Everything is being removed; what is still there.
    Removing {
        /// Objects that are still there.
        left: Vec<String>,
    },
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Every aspect, in order.
    pub results: Vec<SmokeResult>,
    /// What could not be removed, by name and with what holds it.
    pub left: Vec<String>,
    /// The signal that ended it early.
    pub stopped: Option<Stop>,
}
