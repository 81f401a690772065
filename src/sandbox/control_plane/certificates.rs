//! The keys and certificates of a control plane, made anew for each start and gone with its folder.
//!
//! Two authorities, as Kubernetes wants: the cluster's, and the one of the front proxy, which alone may assert user names
//! in headers. Called by the start sequence; the AWS side only sees the cluster's CA and the service-account key set.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256,
};

use super::ControlPlaneError;

/// The addresses of a service in the cluster's range: the first one is the apiserver's own.
pub(super) const SERVICE_RANGE: &str = "10.100.0.0/16";
const APISERVER_SERVICE: &str = "10.100.0.1";

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// An authority that signs certificates.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Result<Self, ControlPlaneError> {
        let make = || {
            let mut params = parameters(&[], name, None)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages =
                vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        let issuer = make().map_err(|source| ControlPlaneError::Certificate { what: name.to_owned(), source })?;
        Ok(Self { issuer })
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn pair(&self) -> Pair {
        Pair { certificate: self.issuer.pem(), key: self.issuer.key().serialize_pem() }
    }

    /// A certificate for a server that is reached under `names`.
    pub(super) fn server(&self, names: &[&str]) -> Result<Pair, ControlPlaneError> {
        let name = names.first().copied().unwrap_or_default();
        self.sign(name, None, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate by which `user` of `group` is known to the apiserver.
    pub(super) fn client(&self, user: &str, group: Option<&str>) -> Result<Pair, ControlPlaneError> {
        self.sign(user, group, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        name: &str,
        group: Option<&str>,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Pair, ControlPlaneError> {
        let make = || {
            let mut params = parameters(names, name, group)?;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
            params.extended_key_usages = vec![usage];
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
        };
        make().map_err(|source| ControlPlaneError::Certificate { what: name.to_owned(), source })
    }
}

/// Valid since yesterday, so that a clock that lags does no harm, and for longer than any sandbox runs.
fn parameters(names: &[&str], name: &str, group: Option<&str>) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(now.yesterday().unwrap_or(now));
    params.not_after = day(now.checked_add(jiff::Span::new().days(730)).unwrap_or(now));
    Ok(params)
}

/// Everything that the control plane is started with.
pub(super) struct Certificates {
    pub(super) cluster_ca: String,
    pub(super) admin: Pair,
    pub(super) controller_manager: Pair,
    pub(super) scheduler: Pair,
    pub(super) kwok: Pair,
    /// For our own loopback server of webhooks.
    pub(super) webhooks: Pair,
    pub(super) files: Files,
}

/// The files that are named on command lines.
pub(super) struct Files {
    pub(super) cluster_ca: PathBuf,
    pub(super) cluster_ca_key: PathBuf,
    pub(super) apiserver: PathBuf,
    pub(super) apiserver_key: PathBuf,
    pub(super) front_proxy_ca: PathBuf,
    pub(super) front_proxy: PathBuf,
    pub(super) front_proxy_key: PathBuf,
    pub(super) service_account_key: PathBuf,
    pub(super) service_account_public: PathBuf,
}

impl Certificates {
    /// Makes all of them and writes those that are named on command lines into `folder`.
    pub(super) fn make(folder: &Path) -> Result<Self, ControlPlaneError> {
        fs::create_dir_all(folder).map_err(ControlPlaneError::file("create", folder))?;
        let cluster = Authority::new("kubernetes")?;
        let front_proxy = Authority::new("front-proxy-ca")?;
        // The service-account tokens of EKS are signed with RS256, and IAM accepts nothing weaker.
        let service_account = KeyPair::generate_for(&PKCS_RSA_SHA256)
            .map_err(|source| ControlPlaneError::Certificate { what: "service-account tokens".into(), source })?;
        let apiserver = cluster.server(&[
            "localhost",
            "127.0.0.1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            APISERVER_SERVICE,
        ])?;
        let front_proxy_client = front_proxy.client("front-proxy-client", None)?;
        let cluster_pair = cluster.pair();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            write_private(&path, text)?;
            Ok::<_, ControlPlaneError>(path)
        };
        let files = Files {
            cluster_ca: write("ca.crt", &cluster_pair.certificate)?,
            cluster_ca_key: write("ca.key", &cluster_pair.key)?,
            apiserver: write("apiserver.crt", &apiserver.certificate)?,
            apiserver_key: write("apiserver.key", &apiserver.key)?,
            front_proxy_ca: write("front-proxy-ca.crt", &front_proxy.pem())?,
            front_proxy: write("front-proxy.crt", &front_proxy_client.certificate)?,
            front_proxy_key: write("front-proxy.key", &front_proxy_client.key)?,
            service_account_key: write("service-account.key", &service_account.serialize_pem())?,
            service_account_public: write("service-account.pub", &service_account.public_key_pem())?,
        };
        Ok(Self {
            admin: cluster.client("kubernetes-admin", Some("system:masters"))?,
            controller_manager: cluster.client("system:kube-controller-manager", None)?,
            scheduler: cluster.client("system:kube-scheduler", None)?,
            // kwok plays all kubelets at once, which no role of Kubernetes allows to one user.
            kwok: cluster.client("kwok", Some("system:masters"))?,
            webhooks: cluster.server(&["localhost", "127.0.0.1"])?,
            cluster_ca: cluster_pair.certificate,
            files,
        })
    }
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), ControlPlaneError> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(ControlPlaneError::file("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn everything_is_there_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(folder.path()).unwrap();
        for pair in [&certificates.admin, &certificates.webhooks] {
            assert!(pair.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
            assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
        }
        let public = fs::read_to_string(&certificates.files.service_account_public).unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"), "{public}");
        let mode = fs::metadata(&certificates.files.cluster_ca_key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
