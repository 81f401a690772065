//! Charts out of what original charts render to, so that the originals' objects are installed by a real helm where the
//! originals themselves are not at hand.
//!
//! A file `NAME-VERSION.yaml` becomes a chart of that name and version. What helm rendered once is the same for every value, so
//! the values are accepted and change nothing, but for the annotations of the driver's service account, which name its role.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};

/// The Service behind which the controller's webhooks answer.
const WEBHOOK: &str = "aws-load-balancer-webhook-service.kube-system";
/// Where the driver's chart would write the annotations that it is given.
const ACCOUNT: &str = "kind: ServiceAccount\nmetadata:\n  name: ebs-csi-controller-sa\n";
const ANNOTATIONS: &str = "  {{- with ((.Values.controller).serviceAccount).annotations }}\n  annotations:\n    \
                           {{- toYaml . | nindent 4 }}\n  {{- end }}\n";

/// Makes charts of every rendered file in `from`, each in its folder in `to`. The originals' CRDs lie beside `from`.
pub(crate) fn charts(from: &Path, to: &Path) {
    let certificates = certificates();
    let files = fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    for path in files.map(|file| file.unwrap().path()) {
        let Some(stem) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".yaml") else { continue };
        let (name, version) = stem.rsplit_once('-').unwrap_or_else(|| panic!("{stem} has no version"));
        let text = fs::read_to_string(&path).unwrap();
        let app = text.lines().find_map(|line| line.trim().strip_prefix("app.kubernetes.io/version: "));
        let about = format!(
            "apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: {}\ndescription: Made of what the original renders to\n",
            app.unwrap_or_else(|| panic!("{stem} names no version of its software"))
        );
        // What looks like a template is text.
        let mut text = text.replace("{{", "{{ \"{{\" }}");
        for (mark, pem) in ["@CA_CRT@", "@TLS_CRT@", "@TLS_KEY@"].into_iter().zip(&certificates) {
            text = text.replace(mark, &STANDARD.encode(pem));
        }
        let text = text.replacen(ACCOUNT, &format!("{ACCOUNT}{ANNOTATIONS}"), 1);
        let chart = to.join(name);
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join("Chart.yaml"), about).unwrap();
        fs::write(chart.join("values.yaml"), "{}\n").unwrap();
        fs::write(chart.join("templates/all.yaml"), text).unwrap();
        let crds = from.join("../charts").join(name).join("crds");
        if crds.is_dir() {
            crate::drift::copy(&crds, &chart.join("crds"));
        }
    }
}

/// An authority of our own, a certificate by it for the webhooks, and the certificate's key, as PEM.
fn certificates() -> [String; 3] {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names = [WEBHOOK.to_owned(), format!("{WEBHOOK}.svc")];
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    [authority.pem(), certificate.pem(), key.serialize_pem()]
}

/// Where the rendered originals are, if the tests are told so.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os("EKS_BOOTSTRAP_TEST_RENDERED").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}
