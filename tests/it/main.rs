//! The one integration-test binary.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "functions of tests that are not tests themselves")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait")]

#[cfg(feature = "sandbox")]
mod addon;
#[cfg(feature = "sandbox")]
mod addon_configuration;
#[cfg(feature = "sandbox")]
mod admission;
#[cfg(feature = "sandbox")]
mod bad_values;
#[cfg(feature = "sandbox")]
mod charts;
#[cfg(feature = "sandbox")]
mod clusters;
#[cfg(feature = "sandbox")]
mod components;
#[cfg(feature = "sandbox")]
mod configuration;
#[cfg(feature = "sandbox")]
mod contract;
#[cfg(feature = "sandbox")]
mod control_plane;
#[cfg(feature = "sandbox")]
mod credentials;
#[cfg(feature = "sandbox")]
mod dead_helm;
#[cfg(feature = "sandbox")]
mod destroy;
#[cfg(feature = "sandbox")]
mod downloads;
#[cfg(feature = "sandbox")]
mod drift;
#[cfg(feature = "sandbox")]
mod drift_content;
#[cfg(feature = "sandbox")]
mod drift_options;
#[cfg(feature = "sandbox")]
mod drift_table;
#[cfg(feature = "sandbox")]
mod errors;
#[cfg(feature = "sandbox")]
mod every_leaf;
#[cfg(feature = "sandbox")]
mod examples;
#[cfg(feature = "sandbox")]
mod files;
#[cfg(feature = "sandbox")]
mod former_issuers;
#[cfg(feature = "sandbox")]
mod hostile;
#[cfg(feature = "sandbox")]
mod house;
#[cfg(feature = "sandbox")]
mod lag;
#[cfg(feature = "sandbox")]
mod names;
#[cfg(feature = "sandbox")]
mod new_roles;
#[cfg(feature = "sandbox")]
mod node_role;
#[cfg(feature = "sandbox")]
mod originals;
#[cfg(feature = "sandbox")]
mod own_components;
#[cfg(feature = "sandbox")]
mod packages;
#[cfg(feature = "sandbox")]
mod partitions;
#[cfg(feature = "sandbox")]
mod partly_read;
#[cfg(feature = "sandbox")]
mod permissions;
#[cfg(feature = "sandbox")]
mod permissions_enforced;
#[cfg(feature = "sandbox")]
mod permissions_kubernetes;
#[cfg(feature = "sandbox")]
mod permissions_options;
#[cfg(feature = "sandbox")]
mod pod_identity;
mod policies;
#[cfg(feature = "sandbox")]
mod policies_of_choice;
#[cfg(feature = "sandbox")]
mod properties;
#[cfg(feature = "sandbox")]
mod proxies;
#[cfg(feature = "sandbox")]
mod pty;
mod readme;
#[cfg(feature = "sandbox")]
mod rendered;
#[cfg(feature = "sandbox")]
mod sandbox_shell;
#[cfg(feature = "sandbox")]
mod scenarios;
#[cfg(feature = "sandbox")]
mod sessions;
#[cfg(feature = "shared-build")]
mod shared_build;
#[cfg(feature = "sandbox")]
mod signals;
#[cfg(feature = "sandbox")]
mod simulation;
#[cfg(feature = "sandbox")]
mod smoke;
#[cfg(feature = "sandbox")]
mod sources;
#[cfg(feature = "sandbox")]
mod stand_in;
#[cfg(feature = "sandbox")]
mod story;
#[cfg(feature = "sandbox")]
mod stuck;
#[cfg(feature = "sandbox")]
mod support;
#[cfg(feature = "sandbox")]
mod target;
#[cfg(feature = "sandbox")]
mod unrest;
#[cfg(feature = "sandbox")]
mod verify;
#[cfg(feature = "sandbox")]
mod versions;
#[cfg(feature = "sandbox")]
mod worlds;
#[cfg(feature = "sandbox")]
mod yaml_as_helm;
