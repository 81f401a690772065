//! eks-bootstrap takes an existing Amazon EKS cluster from "created" to "load balancers and volumes work".
//!
//! ```text
//! args + file + env -> Config -> Context{facts, clients} -> every step: observe -> diff -> changes
//!    -> Plan (shown, confirmed) -> engine: graph order, independent steps side by side, re-observe, run ops, settle
//!    -> Events -> {bars | lines | json} -> Summary -> exit code
//! ```
//!
//! Words, one meaning each: a *component* is what a user turns on; a *step* is one object that must be in a given state;
//! *observe* reads the world; *diff* compares, purely; a *change* is one difference and holds one *op*, which is one
//! write; the *plan* is all steps with their changes, and it is what runs; the *outcome* is how a step ended; *facts* are
//! what EKS says of the cluster; a *check* is one thing that `verify` proves, a *finding* what it saw. The world is the state: there is no state file.
//!
//! The library exists for the program and its tests; its types are no stable interface.

mod authorities;
mod behind;
pub mod bundle;
pub mod check;
pub mod checks;
pub mod child;
pub mod cli;
pub(crate) mod clock;
pub mod commands;
pub mod component;
pub mod component_file;
pub mod config;
pub mod config_file;
pub mod config_schema;
pub mod config_view;
pub mod connect;
pub mod content;
pub mod context;
pub(crate) mod credentials;
pub mod dependants;
pub mod engine;
pub mod error;
pub mod escape;
pub mod event;
pub mod exit_code;
pub mod explain;
pub(crate) mod files;
pub(crate) mod flight;
pub mod graph;
mod heard;
pub mod helm_process;
pub mod helm_writer;
pub mod hint;
pub mod images;
pub mod kube_client;
pub mod kubeconfig;
pub mod left_behind;
pub(crate) mod limits;
mod mfa;
pub mod names;
mod object;
pub mod op;
pub mod owner;
pub mod permissions;
pub mod plan;
pub mod policy;
mod profile;
mod proxy;
pub mod read;
mod regions;
pub mod render;
pub mod report;
pub mod retry;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub(crate) mod scratch;
pub mod secrets;
mod service_account;
pub mod smoke;
pub mod steps;
pub mod stop;
pub mod summary;
pub mod token;
pub(crate) mod unpacking;
mod validate;
pub mod versions;
mod yaml;
