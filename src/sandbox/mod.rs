//! The sandbox: a simulated AWS beside a real local Kubernetes control plane. Everything is real except AWS itself.
#![expect(clippy::disallowed_methods, reason = "the sandbox starts children, waits for them and has variables of its own")]

pub mod aws;
pub mod control_plane;
