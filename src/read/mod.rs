//! Clients that can only read. Their inner SDK, kube and helm handles are private, and no type here has a method that
//! writes: a dry run that writes does not compile.

pub mod accelerator;
pub mod chart;
pub mod contents;
pub mod ec2;
pub mod eks;
pub mod elbv2;
pub mod former;
pub mod held;
pub mod iam;
pub mod kinds;
pub mod kube;
pub mod live_release;
pub(crate) mod manifest;
pub mod names;
pub mod other_manager;
mod pages;
pub mod pods;
pub mod release;
pub mod rollout;
mod signed;
pub mod simulation;
pub mod sts;
pub mod tagging;
