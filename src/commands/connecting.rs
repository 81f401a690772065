//! Connecting, with what a person has to know of the connection before anything is read through it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Config;
use crate::connect::{self, Connection};
use crate::error::Result;
use crate::escape::line;
use crate::render::terminal::Terminal;

/// Whether this run has warned: some commands connect again and again.
static WARNED: AtomicBool = AtomicBool::new(false);

/// Connects, and warns once of a connection that verifies nothing.
///
/// # Errors
/// As [`connect::connect`].
pub(super) async fn connect(config: Config, terminal: Terminal) -> Result<Connection> {
    let connection = connect::connect(config, None).await?;
    if let Some(entry) = connection.read.kube.unverified().filter(|_| !WARNED.swap(true, Ordering::Relaxed)) {
        terminal.message(&format!(
            "warning: the kubeconfig's cluster entry `{}` sets insecure-skip-tls-verify, so whoever is in between can read \
             tokens and Secrets and change what is written (EKB-CLUS-009)\n",
            line(entry)
        ));
    }
    Ok(connection)
}
