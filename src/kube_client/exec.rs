//! The sign-in plugins of the user's kubeconfig, run by us: the client library runs them where no time-out can end them.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
//!
//! What a plugin writes to its standard output is a secret and never shown; the end of its standard error is.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::{self, Rules, Why};
use crate::error::{Cause, Error, Result};
use crate::flight::Renewal;
use crate::limits::{self, EXEC_PLUGIN};

/// So many of a plugin's last lines are shown.
const LAST_LINES: usize = 5;
/// And of each so much.
const LINE: usize = 300;

/// A plugin, and what it gave last.
#[derive(Clone)]
pub(super) struct ExecPlugin {
    plugin: std::sync::Arc<Plugin>,
    renewal: Renewal<Credential>,
}

struct Plugin {
    config: ExecConfig,
    command: PathBuf,
    name: String,
    /// The plugin may ask the person at the terminal.
    interactive: bool,
}

/// What a plugin gives.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credential {
    /// A bearer token.
    pub(super) token: Option<String>,
    /// A client certificate and its key, PEM.
    pub(super) certificate: Option<(String, String)>,
}

impl ExecPlugin {
    /// The plugin of a kubeconfig in `folder`.
    ///
    /// # Errors
    /// It names no program, or one that needs a terminal where there is none.
    pub(super) fn new(config: ExecConfig, folder: &Path) -> Result<ExecPlugin, Cause> {
        let named = config.command.clone().filter(|command| !command.is_empty());
        let name = named.ok_or("its sign-in plugin (`exec`) names no command")?;
        // As kubectl does: what is not looked for in PATH is relative to the file that names it.
        let command = PathBuf::from(&name);
        let command = if command.is_relative() && name.contains('/') { folder.join(command) } else { command };
        let terminal = std::io::stdin().is_terminal();
        let interactive = match config.interactive_mode {
            Some(ExecInteractiveMode::Never) => false,
            Some(ExecInteractiveMode::IfAvailable) | None => terminal,
            Some(ExecInteractiveMode::Always) if terminal => true,
            Some(ExecInteractiveMode::Always) => {
                return Err(format!("its sign-in plugin `{name}` needs a terminal, and there is none").into());
            }
        };
        let plugin = Plugin { config, command, name, interactive };
        Ok(ExecPlugin { plugin: plugin.into(), renewal: Renewal::default() })
    }

    /// What to sign in with now; the plugin runs when there is nothing good, and ahead of the end of what there is.
    ///
    /// # Errors
    /// The plugin gives nothing that can be used.
    pub(super) async fn credential(&self) -> Result<Credential> {
        let plugin = self.plugin.clone();
        self.renewal.get(SystemTime::now(), || async move { plugin.run().await }).await
    }

    /// Forgets what the server refused.
    pub(super) fn forget(&self) {
        self.renewal.forget();
    }
}

impl Plugin {
    fn failed(&self, reason: impl Into<Cause>) -> Error {
        Error::ExecPlugin {
            plugin: self.name.clone(),
            source: reason.into(),
            install: self.config.install_hint.clone().filter(|hint| !hint.trim().is_empty()),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that starts plugins")]
    async fn run(&self) -> Result<(Credential, Option<SystemTime>)> {
        let mut command = tokio::process::Command::new(&self.command);
        command.args(self.config.args.iter().flatten()).env("KUBERNETES_EXEC_INFO", self.info().to_string());
        for variable in self.config.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        command.stdin(if self.interactive { Stdio::inherit() } else { Stdio::null() });
        let rules = Rules { limit: EXEC_PLUGIN.get(), interactive: self.interactive, stops: None };
        tracing::debug!(plugin = self.name, "signing in");
        let ended = child::run(command, &rules).await.map_err(|source| self.failed(source))?;
        let words = last_lines(&ended.stderr);
        match ended.why {
            Why::Itself if ended.status.success() => {
                let version = self.config.api_version.as_deref();
                read(&ended.stdout, version).map_err(|reason| self.failed(format!("{reason}{words}")))
            }
            Why::Itself | Why::Stopped => Err(self.failed(format!("it ended with {}{words}", ended.status))),
            Why::TooLong => Err(self.failed(format!("it did not end within {}{words}", limits::shown(rules.limit)))),
            Why::TooMuch => Err(self.failed(format!("it wrote more than {} MiB", limits::CHILD_OUTPUT >> 20))),
        }
    }

    /// What the plugin is told: whether it may ask, and the cluster where it wants to know it.
    fn info(&self) -> Value {
        let mut spec = json!({ "interactive": self.interactive });
        if self.config.provide_cluster_info {
            spec["cluster"] = serde_json::to_value(&self.config.cluster).unwrap_or_default();
        }
        json!({"apiVersion": self.config.api_version, "kind": "ExecCredential", "spec": spec})
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    kind: String,
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// What a plugin wrote; YAML is JSON and more. The reason never repeats any of it.
fn read(stdout: &[u8], version: Option<&str>) -> Result<(Credential, Option<SystemTime>), String> {
    let text = std::str::from_utf8(stdout).map_err(|_| "it wrote no text".to_owned())?;
    let answer: Answer = serde_saphyr::from_str(text).map_err(|_| "what it wrote is no ExecCredential".to_owned())?;
    if answer.kind != "ExecCredential" {
        return Err("what it wrote is no ExecCredential".to_owned());
    }
    if let Some(version) = version.filter(|version| *version != answer.api_version) {
        return Err(format!("the kubeconfig says that it speaks {version}, but it does not"));
    }
    let status = answer.status.ok_or("it wrote an ExecCredential without a status")?;
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let certificate = match (some(status.client_certificate_data), some(status.client_key_data)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("it gave a client certificate without its key, or a key without its certificate".to_owned()),
    };
    let token = some(status.token);
    if token.is_none() && certificate.is_none() {
        return Err("it gave neither a token nor a client certificate".to_owned());
    }
    let ends = match some(status.expiration_timestamp) {
        None => None,
        Some(text) => {
            let ends: jiff::Timestamp = text.parse().map_err(|_| "its expirationTimestamp is not a time".to_owned())?;
            Some(SystemTime::from(ends))
        }
    };
    Ok((Credential { token, certificate }, ends))
}

/// The end of what a plugin said, on one line, without what would move the cursor of a terminal.
fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(LAST_LINES)..];
    let shown: Vec<String> =
        shown.iter().map(|line| line.chars().filter(|c| !c.is_control()).take(LINE).collect()).collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join(" / ")) }
}

#[cfg(test)]
mod tests;
