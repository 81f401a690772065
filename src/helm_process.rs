//! Runs helm: finding the binary, its version, and one run with an environment of its own. The only `Command::new` of helm.
//!
//! Used by `read/chart.rs` (charts, no cluster) and `op/helm.rs` (releases). Helm gets empty cache, configuration and data
//! folders, so that the user's repositories and plugins are neither needed nor touched; only logins to registries stay.

mod keys;
mod session;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use semver::Version;

use crate::authorities::Authorities;
use crate::child::{self, Rules, Why};
use crate::error::{Error, Result};
use crate::flight::Flights;
use crate::limits::{self, HELM_LOCAL};
use crate::scratch::Scratch;
use crate::stop::Stops;

pub use keys::Keys;

/// The oldest helm that is known to work: 3.14 brought `--labels` and fixes to `--wait`.
pub static OLDEST: Version = Version::new(3, 14, 0);
/// The first helm that takes over objects of others when told to (`--take-ownership`).
pub static OLDEST_THAT_ADOPTS: Version = Version::new(3, 17, 0);

/// Variables of helm's that say how to sign in to registries; those stay.
const REGISTRY: [&str; 2] = ["HELM_REGISTRY_CONFIG", "HELM_REPOSITORY_CONFIG"];

/// How much of helm's words is shown, of their beginning and of their end: helm joins the failures of all objects of a
/// release in one error, and RBAC lists every rule of a role, so the cause may stand kilobytes before the end.
const FIRST_WORDS: usize = 1200;
const LAST_WORDS: usize = 800;

/// The helm binary, found and asked for its version when it is first needed.
#[derive(Clone, Debug)]
pub struct Helm {
    named: Option<PathBuf>,
    authorities: Option<PathBuf>,
    found: Flights<(), Arc<(PathBuf, Version)>>,
}

impl Helm {
    /// The binary that the user named, else one of PATH.
    pub fn new(named: Option<PathBuf>) -> Helm {
        Helm { named, authorities: None, found: Flights::default() }
    }

    /// The same, which trusts the authorities of a file too when it downloads charts.
    pub(crate) fn trusting(self, authorities: Option<&Authorities>) -> Helm {
        let path = authorities.and_then(|it| std::path::absolute(it.path()).ok());
        Helm { authorities: path, ..self }
    }

    /// Where the binary is, if there is one.
    pub fn locate(named: Option<&Path>) -> Option<PathBuf> {
        if let Some(path) = named {
            return Some(path.to_path_buf());
        }
        crate::config::search_path().into_iter().map(|folder| folder.join("helm")).find(|path| executable(path))
    }

    /// Path and version.
    ///
    /// # Errors
    /// No helm, or one that does not tell its version.
    pub async fn found(&self) -> Result<Arc<(PathBuf, Version)>> {
        let named = self.named.clone();
        self.found
            .get((), || async move {
                let looked = || match &named {
                    Some(path) => path.display().to_string(),
                    None => "every folder of PATH".to_owned(),
                };
                let path = Helm::locate(named.as_deref()).ok_or_else(|| Error::HelmNotFound { looked: looked() })?;
                let version = version(&path).await?;
                Ok(Arc::new((path, version)))
            })
            .await
    }

    /// Makes sure that there is a helm that is new enough.
    ///
    /// # Errors
    /// No helm, or one that is older than `needed`.
    pub async fn at_least(&self, needed: &Version) -> Result<()> {
        let found = self.found().await?;
        let (path, version) = &*found;
        if version >= needed {
            return Ok(());
        }
        let (version, needed) = (version.to_string(), needed.to_string());
        Err(Error::HelmTooOld { path: path.clone(), version, needed })
    }

    /// Runs helm for at most `limit`, without a cluster, and returns what it wrote to stdout.
    ///
    /// # Errors
    /// No helm, helm's own last words, or its time was over.
    pub async fn run(
        &self,
        command: &str,
        arguments: &[OsString],
        home: &Home,
        limit: Duration,
        keys: Keys,
    ) -> Result<String> {
        let rules = Rules { limit, interactive: false, stops: None };
        self.start(command, arguments, home, &rules, keys).await
    }

    /// The same for a run that writes to the cluster: it is ended when the program has to be over soon, and not by a single Ctrl-C.
    ///
    /// # Errors
    /// The same, or [`Error::Stopped`].
    pub async fn run_until(
        &self,
        command: &str,
        arguments: &[OsString],
        home: &Home,
        limit: Duration,
        stops: Option<&Stops>,
    ) -> Result<String> {
        self.start(command, arguments, home, &Rules { limit, interactive: false, stops }, Keys::Kept).await
    }

    async fn start(
        &self,
        command: &str,
        arguments: &[OsString],
        home: &Home,
        rules: &Rules<'_>,
        keys: Keys,
    ) -> Result<String> {
        self.at_least(&OLDEST).await?;
        let environment = Environment { authorities: self.authorities.as_deref(), keys };
        run(&self.found().await?.0, command, arguments, home, environment, rules).await
    }
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Folders of helm's own for one run or a series of runs; they go with it.
#[derive(Debug)]
pub struct Home {
    folder: Scratch,
    session: Option<Credentials>,
}

impl Home {
    /// A new, empty home that only we can read.
    ///
    /// # Errors
    /// No temporary folder.
    pub fn new() -> Result<Home> {
        let folder = Scratch::new("helm").map_err(|source| Error::io("make a temporary folder for helm", source))?;
        Ok(Home { folder, session: None })
    }

    /// Hands AWS credentials to the `token` commands that helm starts in this home.
    pub(crate) fn hand_over(&mut self, session: Credentials) {
        self.session = Some(session);
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that only we can read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.folder.path().join(name);
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())
        };
        write().map_err(|source| Error::io(format!("write {name} for helm"), source))?;
        Ok(path)
    }
}

async fn version(path: &Path) -> Result<Version> {
    let home = Home::new()?;
    let rules = Rules { limit: HELM_LOCAL.get(), interactive: false, stops: None };
    let arguments = ["version".into(), "--template".into(), "{{.Version}}".into()];
    let environment = Environment { authorities: None, keys: Keys::Removed };
    let text = run(path, "version", &arguments, &home, environment, &rules).await?;
    let number = text.trim().trim_start_matches('v');
    // A helm that was made by a plain `go install` knows only `v4.0`.
    Version::parse(number).or_else(|_| Version::parse(&format!("{number}.0"))).map_err(|_| Error::HelmFailed {
        command: "version".to_owned(),
        message: format!("`{}` is not a version", text.trim()),
        seen: None,
    })
}

/// What helm is given of the environment beside its own folders.
#[derive(Clone, Copy)]
struct Environment<'a> {
    authorities: Option<&'a Path>,
    keys: Keys,
}

#[expect(clippy::disallowed_methods, reason = "this is the place that starts helm")]
async fn run(
    path: &Path,
    command: &str,
    arguments: &[OsString],
    home: &Home,
    environment: Environment<'_>,
    rules: &Rules<'_>,
) -> Result<String> {
    let mut child = tokio::process::Command::new(path);
    // Variables of helm's own would change what the flags say; proxies and registry logins stay.
    let changes = |name: &String| name.starts_with("HELM_") && !REGISTRY.contains(&name.as_str());
    let removed = |name: &String| changes(name) || !environment.keys.keep(name);
    for name in crate::config::variable_names().into_iter().filter(removed) {
        child.env_remove(name);
    }
    if let Some(logins) = crate::config::registry_logins() {
        child.env("HELM_REGISTRY_CONFIG", logins);
    }
    // Besides what the machine trusts, on Linux (https://pkg.go.dev/crypto/x509#SystemCertPool); `--ca-file` would be instead of
    // it, and a bundle for AWS need not know those of chart repositories. What the user says of Go's programs stays.
    if let Some(authorities) = environment.authorities.filter(|_| crate::config::variable("SSL_CERT_FILE").is_none()) {
        child.env("SSL_CERT_FILE", authorities);
    }
    if let Some(credentials) = home.session.as_ref().filter(|_| environment.keys == Keys::Kept) {
        session::hand_over(&mut child, credentials);
    }
    child
        .args(arguments)
        .env("HELM_CACHE_HOME", home.path().join("cache"))
        .env("HELM_CONFIG_HOME", home.path().join("config"))
        .env("HELM_DATA_HOME", home.path().join("data"))
        // Empty, and the lock on the folder: should we be killed, helm goes on with its files (`scratch.rs`).
        .stdin(home.folder.lock());
    tracing::debug!(?arguments, "helm");
    let ended =
        child::run(child, rules).await.map_err(|source| Error::io(format!("run `{}`", path.display()), source))?;
    let words = shortened(&ended.stderr);
    match ended.why {
        Why::Itself if ended.status.success() => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        Why::Itself => {
            let message = how_it_ended(ended.status, &words);
            let message = if message.is_empty() { format!("it said nothing ({})", ended.status) } else { message };
            Err(Error::HelmFailed { command: command.to_owned(), message, seen: None })
        }
        Why::TooMuch => {
            let message = format!("it wrote more than {} MiB and was ended", limits::CHILD_OUTPUT >> 20);
            Err(Error::HelmFailed { command: command.to_owned(), message, seen: None })
        }
        Why::TooLong => {
            let words = if words.is_empty() { words } else { format!(" ({words})") };
            Err(Error::TimedOut { what: format!("helm {command}{words}"), limit: rules.limit })
        }
        Why::Stopped => Err(Error::Stopped { what: format!("helm {command}") }),
    }
}

/// How helm ended: its last words, and the signal where one killed it. A script around helm turns that into an exit code.
fn how_it_ended(status: ExitStatus, last_words: &str) -> String {
    let by_script =
        || status.code().map(|code| code - 128).filter(|signal| NAMES.iter().any(|(number, _)| number == signal));
    let Some(signal) = status.signal().or_else(by_script) else { return last_words.to_owned() };
    let name =
        NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| format!(" ({name})")).unwrap_or_default();
    let words = if last_words.is_empty() { "without a word".to_owned() } else { format!("after saying: {last_words}") };
    format!("it was killed by signal {signal}{name} {words}")
}

/// The signals that end programs, of every Unix.
const NAMES: [(i32, &str); 6] =
    [(1, "SIGHUP"), (2, "SIGINT"), (3, "SIGQUIT"), (6, "SIGABRT"), (9, "SIGKILL"), (15, "SIGTERM")];

/// What helm wrote, without its log lines and without the middle where it is long.
fn shortened(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| {
            !line.is_empty() && !line.starts_with("level=") && !line.contains(" level=") && !line.starts_with("WARNING")
        })
        .collect();
    let joined = lines.join(" ");
    let joined = joined.trim_start_matches("Error: ");
    if joined.len() <= FIRST_WORDS + LAST_WORDS {
        return joined.to_owned();
    }
    let (first, last) = (joined.floor_char_boundary(FIRST_WORDS), joined.ceil_char_boundary(joined.len() - LAST_WORDS));
    format!("{} [...] {}", joined[..first].trim_end(), joined[last..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_error() {
        let text = "level=WARN msg=\"x\"\nError: UPGRADE FAILED: context deadline exceeded\n";
        assert_eq!(shortened(text), "UPGRADE FAILED: context deadline exceeded");
    }

    #[test]
    fn long_words_keep_both_ends() {
        let denied =
            "clusterroles \"x\" is forbidden: user \"bob\" is attempting to grant RBAC permissions not currently held:";
        let text = format!("Error: {denied}\n{}\nnot found é", "{APIGroups:[\"\"], Verbs:[\"gét\"]}\n".repeat(500));
        let words = shortened(&text);
        assert!(words.starts_with(denied) && words.ends_with("not found é") && words.contains(" [...] "), "{words}");
        assert!(words.len() <= FIRST_WORDS + LAST_WORDS + " [...] ".len(), "{}", words.len());
        let error = Error::HelmFailed { command: "upgrade x".to_owned(), message: words, seen: None };
        assert!(error.denied() && error.exit_code() == crate::exit_code::NO_PERMISSION);
    }

    #[test]
    fn a_signal_is_named() {
        let killed = "it was killed by signal 9 (SIGKILL)";
        assert_eq!(how_it_ended(ExitStatus::from_raw(9), ""), format!("{killed} without a word"));
        assert_eq!(how_it_ended(ExitStatus::from_raw(9), "x"), format!("{killed} after saying: x"));
        assert_eq!(how_it_ended(ExitStatus::from_raw(137 << 8), ""), format!("{killed} without a word"));
        assert_eq!(how_it_ended(ExitStatus::from_raw(64), ""), "it was killed by signal 64 without a word");
        assert_eq!(how_it_ended(ExitStatus::from_raw(1 << 8), "x"), "x");
    }

    #[test]
    fn files_for_helm_are_ours_alone() {
        let home = Home::new().unwrap();
        let path = home.write("values.json", "{}").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(home.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let folder = home.path().to_path_buf();
        drop(home);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn a_missing_helm_says_where_it_was_looked_for() {
        let helm = Helm::new(Some(PathBuf::from("/nowhere/helm")));
        assert!(matches!(helm.found().await, Err(Error::Io { .. })));
    }
}
