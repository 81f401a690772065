//! What keeps a sandbox a sandbox: the variables that would lead a command inside it somewhere else. They are taken away before the
//! sandbox's own are set, whoever set them: one forgotten `EKS_BOOTSTRAP_KUBECONFIG` would have a simulated apply write into a
//! real cluster. Pure.

/// What the variables of the AWS SDKs, of this program, of helm and of Kubernetes' clients begin with.
const PREFIXES: [&str; 4] = ["AWS_", "EKS_BOOTSTRAP_", "HELM_", "KUBE"];
/// They begin so, and only say where programs come from.
const KEPT: [&str; 3] = ["EKS_BOOTSTRAP_CACHE", "EKS_BOOTSTRAP_MIRROR", "KUBEBUILDER_ASSETS"];
/// Proxies, and certificate authorities that are trusted: requests to a loopback address would go to someone else. By any case.
const WAYS: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];
/// What another terminal may have set, and this one need not have: what the printed lines take away by name.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>, <https://helm.sh/docs/helm/helm/>
const OFTEN: [&str; 36] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_EKS",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "AWS_ENDPOINT_URL_GLOBAL_ACCELERATOR",
    "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API",
    "HELM_NAMESPACE",
    "HELM_DRIVER",
    "HELM_KUBECONTEXT",
    "HELM_KUBEAPISERVER",
    "HELM_KUBECAFILE",
    "HELM_KUBETOKEN",
    "HELM_KUBEASUSER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "KUBERNETES_MASTER",
    "KUBE_CONFIG_PATH",
    "http_proxy",
    "https_proxy",
];

/// Whether a variable could lead elsewhere. A sandbox that is told to use something outside (the official charts, a cluster that
/// exists) `reaches_out`, and does so the way that the user's proxies and authorities say.
pub fn leads_elsewhere(name: &str, reaches_out: bool) -> bool {
    let begins = PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.contains(&name);
    begins || (!reaches_out && WAYS.iter().any(|way| name.eq_ignore_ascii_case(way)))
}

/// All names to take away in a terminal in which the sandbox's own variables are set: `here` are those of this one.
pub fn to_unset(here: impl IntoIterator<Item = String>, own: &[&str], reaches_out: bool) -> Vec<String> {
    let often = OFTEN.iter().chain(&WAYS).map(|name| (*name).to_owned());
    let all: std::collections::BTreeSet<_> = here.into_iter().chain(often).collect();
    all.into_iter().filter(|name| leads_elsewhere(name, reaches_out) && !own.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_known_by_its_name() {
        for name in ["AWS_PROFILE", "EKS_BOOTSTRAP_KUBECONFIG", "HELM_KUBECONTEXT", "KUBECONFIG", "https_proxy"] {
            assert!(leads_elsewhere(name, false), "{name}");
        }
        for name in ["PATH", "HOME", "NO_COLOR", "XDG_CACHE_HOME", "EKS_BOOTSTRAP_CACHE", "KUBEBUILDER_ASSETS"] {
            assert!(!leads_elsewhere(name, false), "{name}");
        }
        assert!(!leads_elsewhere("HTTPS_PROXY", true) && leads_elsewhere("AWS_CA_BUNDLE", true));
    }

    #[test]
    fn what_is_set_here_and_what_often_is_elsewhere_is_taken_away_and_nothing_of_the_sandboxs_own() {
        let here = ["KUBECONFIG", "AWS_NEW", "PATH"].map(ToOwned::to_owned);
        let names = to_unset(here, &["KUBECONFIG", "AWS_PROFILE"], false);
        assert!(names.contains(&"AWS_NEW".to_owned()) && names.contains(&"AWS_SESSION_TOKEN".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| ["KUBECONFIG", "PATH", "AWS_PROFILE"].contains(&name.as_str())), "{names:?}");
    }
}
