//! The AWS profile that a run uses: the shared files are read here once, checked, and handed to the SDK as they were read. The SDK
//! takes a profile that it cannot find for an empty one and keys of the environment before one that was named, so that a misspelt
//! name leads to another account without a word.

mod login;
pub(crate) mod roles;

use std::path::PathBuf;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::{self, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};

use crate::config;
use crate::error::{Error, Result, chain_of};
use crate::files::{self, Unreadable};
use crate::limits::AWS_OPERATION;
use crate::validate;

/// The most that a shared file may hold; those of large companies with thousands of generated profiles stay far below.
const LIMIT: u64 = 4 << 20;
/// Any of them says where a profile's credentials come from.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>
const SOURCES: [&str; 8] = [
    "aws_access_key_id",
    "role_arn",
    "credential_process",
    "credential_source",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
    "login_session",
];
/// So many names are listed where none is near.
const LISTED: usize = 10;

/// The shared files, and the profile that a run uses.
pub(crate) struct Profiles {
    files: [SharedFile; 2],
    set: ProfileSet,
    /// The flag, field or variable that names the profile, and the name; none where it is `default` by default.
    named: Option<(&'static str, String)>,
}

/// `~/.aws/config` or `~/.aws/credentials`, or what stands for it.
struct SharedFile {
    kind: EnvConfigFileKind,
    variable: &'static str,
    path: PathBuf,
    /// Empty where there is none.
    text: String,
    /// Why there is none, where someone named the file.
    missing: Option<String>,
}

impl Profiles {
    /// Reads the files. `explicit` is the profile of `--profile` and what stands for it; else `AWS_PROFILE` counts.
    ///
    /// # Errors
    /// A file that is no shared file, or a profile that was named and does not exist: with the files, and the names in them.
    pub(crate) async fn read(explicit: Option<&str>) -> Result<Profiles> {
        let of_variable = || Some(("AWS_PROFILE", config::variable("AWS_PROFILE")?));
        let named = explicit.map(|name| ("--profile", name.to_owned())).or_else(of_variable);
        Profiles::of(SharedFile::both().await?, named).await
    }

    async fn of(files: [SharedFile; 2], named: Option<(&'static str, String)>) -> Result<Profiles> {
        for file in &files {
            parsed(std::slice::from_ref(file)).await.map_err(|reason| file.unusable(&reason))?;
        }
        let set = parsed(&files).await.map_err(|reason| files[0].unusable(&reason))?;
        let profiles = Profiles { files, set, named };
        if let Some((field, name)) = &profiles.named {
            profiles.check(field, name)?;
        }
        Ok(profiles)
    }

    /// A profile exists, and so do those that it takes its credentials from.
    fn check(&self, field: &str, name: &str) -> Result<()> {
        let (mut field, mut name) = (field.to_owned(), name.to_owned());
        let mut seen = Vec::new();
        // A loop is the SDK's to tell: it names every profile of it.
        while !seen.contains(&name) {
            let Some(profile) = self.set.get_profile(&name) else { return Err(self.unknown(&field, &name)) };
            let Some(source) = profile.get("source_profile") else { break };
            field = format!("source_profile of AWS profile `{name}`");
            seen.push(std::mem::replace(&mut name, source.to_owned()));
        }
        Ok(())
    }

    fn unknown(&self, field: &str, name: &str) -> Error {
        for file in &self.files {
            if let Some((line, written, right)) = file.misnamed(name) {
                let reason = format!(
                    "{} has the section [{written}] in line {line}, which AWS tools ignore in this file",
                    file.path.display()
                );
                return Error::config(field, name, reason, format!("write it as [{right}]"));
            }
        }
        let places = self.files.iter().map(SharedFile::place).collect::<Vec<_>>().join(" or ");
        let mut known: Vec<_> = self.set.profiles().collect();
        known.sort_unstable();
        let near = validate::nearest(name, known.iter().copied());
        let fix = if let Some(near) = near.first() {
            format!("did you mean `{near}`? `aws configure list-profiles` shows all {}", known.len())
        } else if known.is_empty() {
            "there are no profiles: `aws configure sso` or `aws configure` creates one".to_owned()
        } else {
            let more = if known.len() > LISTED { ", ..." } else { "" };
            format!("the profiles are {}{more}", known[..known.len().min(LISTED)].join(", "))
        };
        Error::config(field, name, format!("no such profile in {places}"), fix)
    }

    /// The files as the SDK takes them.
    pub(crate) fn files(&self) -> EnvConfigFiles {
        contents(&self.files)
    }

    /// What the files have to do with a missing region or missing credentials: who named which, and which does not exist.
    pub(crate) fn remark(&self) -> Option<String> {
        let missing: Vec<_> = self.files.iter().filter_map(|file| file.missing.clone()).collect();
        let named =
            self.named.as_ref().map(|(_, name)| format!("profile `{name}` of {}", self.files[0].path.display()));
        let all: Vec<_> = named.into_iter().chain(missing).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The provider of the profile that `--profile` names, for which keys and tokens of the environment do not count; none where
    /// the run may take what the SDK finds. A profile that says nothing of credentials leaves them to the container or instance.
    /// As the AWS CLI does it: <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-options.html>
    pub(crate) fn provider(&self, base: &SdkConfig) -> Option<SharedCredentialsProvider> {
        let (_, name) = self.named.as_ref().filter(|(field, _)| *field == "--profile")?;
        let conf = provider_config(base);
        let of_profile = ProfileFileCredentialsProvider::builder()
            .profile_files(self.files())
            .profile_name(name)
            .configure(&conf)
            .build();
        let profile = self.set.get_profile(name);
        if SOURCES.iter().any(|source| profile.is_some_and(|profile| profile.get(source).is_some())) {
            return Some(SharedCredentialsProvider::new(of_profile));
        }
        let chain = CredentialsProviderChain::first_try("Profile", of_profile)
            .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(&conf).build())
            .or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(&conf).build());
        Some(SharedCredentialsProvider::new(chain))
    }
}

/// What providers of credentials take over from the clients: region, retries, time limits and the connector.
fn provider_config(base: &SdkConfig) -> ProviderConfig {
    let mut conf = ProviderConfig::without_region()
        .with_region(base.region().cloned())
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_use_fips(base.use_fips())
        .with_use_dual_stack(base.use_dual_stack());
    if let Some(retry) = base.retry_config() {
        conf = conf.with_retry_config(retry.clone());
    }
    if let Some(timeout) = base.timeout_config() {
        conf = conf.with_timeout_config(timeout.clone());
    }
    if let Some(client) = base.http_client() {
        conf = conf.with_http_client(client);
    }
    conf
}

/// The shared files as the SDK takes them, read as [`Profiles::read`] does it and not judged.
///
/// # Errors
/// A file that cannot be one of them.
pub(crate) async fn shared_files() -> Result<EnvConfigFiles> {
    Ok(contents(&SharedFile::both().await?))
}

fn contents(files: &[SharedFile]) -> EnvConfigFiles {
    let builder = EnvConfigFiles::builder();
    files.iter().fold(builder, |builder, file| builder.with_contents(file.kind, file.text.clone())).build()
}

async fn parsed(files: &[SharedFile]) -> Result<ProfileSet, String> {
    let read = profile::load(&Fs::from_slice(&[]), &Env::from_slice(&[]), &contents(files), None).await;
    // Its innermost text names the line, and a file without a name.
    read.map_err(|error| {
        let text = chain_of(&error).pop().unwrap_or_default();
        text.strip_prefix("error parsing  on ").unwrap_or(&text).split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

impl SharedFile {
    async fn both() -> Result<[SharedFile; 2]> {
        let read = tokio::task::spawn_blocking(|| {
            let config = SharedFile::read(EnvConfigFileKind::Config, "AWS_CONFIG_FILE", "config")?;
            let keys = SharedFile::read(EnvConfigFileKind::Credentials, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
            Ok::<_, Error>([config, keys])
        });
        // A network file system whose server is gone is silent for ever.
        let limit = AWS_OPERATION.get();
        let late = |_| Error::TimedOut { what: "reading the AWS config and credentials files".to_owned(), limit };
        let files = tokio::time::timeout(limit, read).await.map_err(late)?;
        files.map_err(|source| Error::io("read the AWS config files", std::io::Error::other(source)))?
    }

    fn read(kind: EnvConfigFileKind, variable: &'static str, name: &str) -> Result<SharedFile> {
        let home = config::variable("HOME").map(PathBuf::from);
        let named = config::variable(variable).map(PathBuf::from);
        let path = match (&named, home) {
            (Some(path), Some(home)) => path.strip_prefix("~").map_or_else(|_| path.clone(), |rest| home.join(rest)),
            (Some(path), None) => path.clone(),
            (None, home) => home.unwrap_or_else(|| PathBuf::from("~")).join(".aws").join(name),
        };
        let mut file = SharedFile { kind, variable, path, text: String::new(), missing: None };
        if files::is_null(&file.path) {
            return Ok(file);
        }
        let bytes = match files::read(&file.path, LIMIT) {
            Ok(bytes) => bytes,
            Err(Unreadable::Io(error)) => {
                let why = match error.kind() {
                    std::io::ErrorKind::NotFound => "which does not exist".to_owned(),
                    _ => format!("which cannot be read ({error})"),
                };
                file.missing = named.map(|_| format!("{variable} names {}, {why}", file.path.display()));
                return Ok(file);
            }
            Err(other) => return Err(file.unusable(&other.to_string())),
        };
        // Editors of Windows write a mark before the first line, which is no part of it.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => text.clone_into(&mut file.text),
            Err(_) => return Err(file.unusable("it is not UTF-8; PowerShell's `>` writes UTF-16")),
        }
        Ok(file)
    }

    fn unusable(&self, reason: &str) -> Error {
        Error::Usage {
            message: format!("cannot use the AWS {} `{}`: {reason}", self.word(), self.path.display()),
            mend: format!("correct it, or name another file in {}", self.variable),
        }
    }

    fn is_config(&self) -> bool {
        matches!(self.kind, EnvConfigFileKind::Config)
    }

    fn word(&self) -> &'static str {
        if self.is_config() { "config file" } else { "credentials file" }
    }

    fn place(&self) -> String {
        self.missing.clone().unwrap_or_else(|| self.path.display().to_string())
    }

    /// The section that somebody meant to be this profile and that does not count in this file: its line, how it is written, and
    /// how it has to be. In the config file profiles are `[profile NAME]`, in the credentials file `[NAME]`.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>
    fn misnamed(&self, profile: &str) -> Option<(usize, String, String)> {
        let long = format!("profile {profile}");
        let (wrong, right) = if self.is_config() { (profile, long.as_str()) } else { (long.as_str(), profile) };
        self.text.lines().enumerate().find_map(|(number, line)| {
            let section = line.strip_prefix('[')?.split(']').next()?.split_whitespace().collect::<Vec<_>>().join(" ");
            (section == wrong).then(|| (number + 1, section, right.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(config: &str, credentials: &str) -> [SharedFile; 2] {
        let of = |kind, variable, name: &str, text: &str| SharedFile {
            kind,
            variable,
            path: PathBuf::from(name),
            text: text.to_owned(),
            missing: None,
        };
        [
            of(EnvConfigFileKind::Config, "AWS_CONFIG_FILE", "config", config),
            of(EnvConfigFileKind::Credentials, "AWS_SHARED_CREDENTIALS_FILE", "credentials", credentials),
        ]
    }

    /// The profiles of a config file, one of which is named.
    pub(super) async fn profiles(config: &str, profile: &str) -> Profiles {
        Profiles::of(files(config, ""), Some(("--profile", profile.to_owned()))).await.unwrap()
    }

    async fn refusal(config: &str, credentials: &str, profile: &str) -> String {
        let named = Some(("--profile", profile.to_owned()));
        let error = Profiles::of(files(config, credentials), named).await.err().expect("it is taken");
        assert_eq!(error.exit_code(), crate::exit_code::USAGE);
        crate::report::of(&error)
    }

    #[tokio::test]
    async fn a_profile_that_cannot_be_used_is_named_with_its_file() {
        let good = "[default]\nregion = eu-west-1\n[profile prod]\nregion = eu-west-1\n";
        let text = refusal(good, "[legacy]\n", "prdo").await;
        assert!(text.contains("`prdo` for --profile") && text.contains("did you mean `prod`?"), "{text}");
        let text = refusal(good, "", "zzz").await;
        assert!(text.contains("config or credentials") && text.contains("the profiles are default, prod"), "{text}");
        let text = refusal("[prod]\nregion = eu-west-1\n", "", "prod").await;
        assert!(text.contains("config has the section [prod] in line 1") && text.contains("[profile prod]"), "{text}");
        let text = refusal("", "\n[profile prod]\n", "prod").await;
        assert!(text.contains("credentials has the section [profile prod] in line 2"), "{text}");
        assert!(text.contains("write it as [prod]"), "{text}");
        let chained =
            "[profile prod]\nrole_arn = arn:aws:iam::111122223333:role/x\nsource_profile = bse\n[profile base]\n";
        let text = refusal(chained, "", "prod").await;
        assert!(text.contains("`bse` for source_profile of AWS profile `prod`") && text.contains("`base`"), "{text}");
        let text = refusal("[profile prod]\nno key and value\n", "", "prod").await;
        assert!(text.contains("AWS config file `config`: line 2: Expected an '=' sign"), "{text}");
    }

    #[tokio::test]
    async fn profiles_that_exist_are_taken() {
        let config = "[profile a]\nsource_profile = b\n[profile b]\nsource_profile = a\n";
        for (profile, credentials) in [("a", ""), ("keys", "[keys]\naws_access_key_id = AKIA\n")] {
            Profiles::of(files(config, credentials), Some(("--profile", profile.to_owned()))).await.unwrap();
        }
        // Nobody named one: `default` need not exist.
        assert!(Profiles::of(files("", ""), None).await.unwrap().remark().is_none());
    }
}
