//! Whose word is taken for AWS' certificates: the file of authorities that the user names, else what the machine trusts.
//!
//! `AWS_CA_BUNDLE` and the profile's `ca_bundle` mean what they mean for the AWS CLI: this file and nothing else. The SDK does
//! not know them (awslabs/aws-sdk-rust#1362), so its connector is made here, once for all clients and credential providers.
//! `SSL_CERT_FILE` is read below the SDK (rustls-native-certs), which silently trusts nobody where it is no such file.
//! The API server is judged by the cluster's own authority, whatever is named here.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-gen-config.html>

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::os_shim_internal::{Env, Fs};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::config;
use crate::error::{Error, Result};
use crate::files;
use crate::profile;

/// The largest file that is read; the authorities of a browser are 0.3 MiB.
const LARGEST: u64 = 4 << 20;

/// A file of certificate authorities in PEM form that holds at least one.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    path: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// The file that `AWS_CA_BUNDLE` names, else the profile's `ca_bundle`; none where neither is set. `SSL_CERT_FILE` is only
    /// checked, where it is what counts.
    ///
    /// # Errors
    /// The file cannot be read, is too long, or holds no certificate.
    pub(crate) async fn of_aws(profile: Option<&str>) -> Result<Option<Authorities>> {
        if let Some(path) = config::variable("AWS_CA_BUNDLE") {
            return Authorities::read("AWS_CA_BUNDLE", Path::new(&path)).map(Some);
        }
        // What else is wrong with the profile, or that there is none, is said where it is used.
        let named = profile.map(|name| name.to_owned().into());
        let files = profile::shared_files().await?;
        let loaded = aws_config::profile::load(&Fs::from_slice(&[]), &Env::real(), &files, named).await;
        if let Ok(profiles) = loaded
            && let Some(path) = profiles.get("ca_bundle").filter(|path| !path.is_empty())
        {
            let field = format!("ca_bundle of the profile {}", profiles.selected_profile());
            return Authorities::read(&field, Path::new(path)).map(Some);
        }
        if let Some(path) = config::variable("SSL_CERT_FILE")
            && config::variable("SSL_CERT_DIR").is_none()
        {
            Authorities::read("SSL_CERT_FILE", Path::new(&path))?;
        }
        Ok(None)
    }

    fn read(field: &str, path: &Path) -> Result<Authorities> {
        let refuse = |reason: &str| {
            let mend = format!("name a file of certificates in PEM form, or take {field} away");
            Error::config(field, path.display().to_string(), reason, mend)
        };
        let bytes = files::read(path, LARGEST).map_err(|error| refuse(&error.to_string()))?;
        // The connector panics at what is no certificate; files of many may hold one that only others understand.
        let mut usable = RootCertStore::empty();
        let sections = CertificateDer::pem_slice_iter(&bytes).filter_map(std::result::Result::ok);
        let certificates: Vec<_> = sections.filter(|certificate| usable.add(certificate.clone()).is_ok()).collect();
        if certificates.is_empty() {
            return Err(refuse("it holds no certificate"));
        }
        Ok(Authorities { path: path.to_owned(), certificates })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn context(&self) -> TlsContext {
        let mut store = TrustStore::empty();
        for certificate in &self.certificates {
            let base64 = STANDARD.encode(certificate);
            store.add_pem_certificate(format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"));
        }
        TlsContext::builder().with_trust_store(store).build().expect("a trust store is all that it needs")
    }
}

/// A connector that trusts these and nobody else, and takes the proxy of the environment as the SDK's own does; none where the SDK's own
/// will do, which trusts whom the machine trusts.
pub(crate) fn http_client(authorities: Option<&Authorities>) -> Option<SharedHttpClient> {
    let context = authorities.map(Authorities::context).or_else(nobody)?;
    let made = move |settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>| {
        made(context.clone(), settings.cloned(), components)
    };
    Some(Builder::new().build_with_connector_fn(made))
}

/// For a debug build on a machine without authorities, which an assertion in the SDK's own connector would stop. A release build does
/// without the assertion, and without reading all authorities twice: there the SDK's connector trusts nobody as well.
fn nobody() -> Option<TlsContext> {
    let empty =
        || TlsContext::builder().with_trust_store(TrustStore::empty()).build().expect("nobody is all that it needs");
    (cfg!(debug_assertions) && machine_has_none()).then(empty)
}

/// Whether this machine trusts nobody, as one without the package of authorities, or with `SSL_CERT_DIR` at an empty folder:
/// every certificate is unknown then, unless there is a bundle. The SDK only logs it.
pub(crate) fn machine_has_none() -> bool {
    static NONE: LazyLock<bool> = LazyLock::new(|| rustls_native_certs::load_native_certs().certs.is_empty());
    *NONE
}

fn made(
    context: TlsContext,
    settings: Option<HttpConnectorSettings>,
    components: Option<&RuntimeComponents>,
) -> Connector {
    let mut connector = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context);
    connector.set_connector_settings(settings);
    if let Some(components) = components {
        connector.set_sleep_impl(components.sleep_impl());
    }
    connector.build()
}

/// The same for what is no call of AWS; without `authorities` whom the machine trusts is trusted.
#[cfg(feature = "sandbox")]
pub(crate) fn connector(authorities: Option<&Authorities>, settings: HttpConnectorSettings) -> Connector {
    let context = authorities.map(Authorities::context).or_else(nobody).unwrap_or_default();
    made(context, Some(settings), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: &str = include_str!("../tests/fixtures/unrelated-ca.pem");

    fn read(bytes: &[u8]) -> Result<Authorities> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corp.pem");
        std::fs::write(&path, bytes).unwrap();
        Authorities::read("AWS_CA_BUNDLE", &path)
    }

    #[test]
    fn what_is_no_certificate_is_left_out_and_what_is_one_is_trusted() {
        let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let found = read(format!("# Example Corp\n{broken}{AUTHORITY}").as_bytes()).unwrap();
        assert_eq!(found.certificates.len(), 1);
        for bytes in [broken.as_bytes(), b"", b"-----BEGIN CERTIFICATE-----\n", b"\xff\xfe\0"] {
            let error = read(bytes).unwrap_err();
            assert_eq!(error.exit_code(), crate::exit_code::USAGE);
            assert!(error.to_string().contains("corp.pem` for AWS_CA_BUNDLE: it holds no certificate"), "{error}");
        }
    }

    #[test]
    fn files_that_are_none_or_too_long_are_named() {
        let of = |path: &str| Authorities::read("AWS_CA_BUNDLE", Path::new(path)).unwrap_err().to_string();
        assert!(of("/nowhere/corp.pem").starts_with("invalid value `/nowhere/corp.pem` for AWS_CA_BUNDLE: "));
        assert!(of("/dev/zero").ends_with("it is a device, not a regular file"));
        assert!(of("/").ends_with("it is a folder, not a regular file"));
        let long = [AUTHORITY.as_bytes(), &vec![b'\n'; usize::try_from(LARGEST).unwrap()]].concat();
        assert!(read(&long).unwrap_err().to_string().ends_with("it is larger than 4 MiB"));
    }
}
