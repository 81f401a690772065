//! The one integration-test binary.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "functions of tests that are not tests themselves")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait")]

#[cfg(feature = "sandbox")]
mod contract;
#[cfg(feature = "sandbox")]
mod control_plane;
mod policies;
