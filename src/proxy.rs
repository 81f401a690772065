//! Which HTTP or SOCKS proxy leads to the API server: the kubeconfig's `proxy-url`, which nothing overrules, else the one of
//! the environment, unless `NO_PROXY` names the API server.
//!
//! The variables mean what they mean for AWS' clients, which match them with hyper-util too; kube's own loader matches
//! `NO_PROXY` against the proxy's address and lets it overrule `proxy-url`. Helm gets what is chosen here in its kubeconfig.
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#proxy>

use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::config;
use crate::error::{Error, Result};

/// A proxy, and who names it. Shown without its credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    uri: Uri,
    named_by: String,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", without_credentials(&self.address()), self.named_by)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Proxy {
    /// The proxy that the environment names for a server; none where it names none or `NO_PROXY` names the server.
    ///
    /// # Errors
    /// A variable holds no address of a proxy, or one of a kind that is not known.
    pub(crate) fn of_environment(server: &Uri) -> Result<Option<Proxy>> {
        Variables::read().proxy(server)
    }

    /// The `proxy-url` of the kubeconfig's cluster.
    ///
    /// # Errors
    /// It is no address of a proxy, or of a kind that is not known.
    pub(crate) fn of_kubeconfig(text: &str) -> Result<Proxy> {
        Proxy::parsed(text, "proxy-url of the kubeconfig")
    }

    /// Its address with its credentials: for connecting, never for showing.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The same as kubeconfigs hold it, without the slash that a path would begin with.
    pub(crate) fn address(&self) -> String {
        self.uri.to_string().trim_end_matches('/').to_owned()
    }

    fn parsed(text: &str, named_by: &str) -> Result<Proxy> {
        let refuse = |reason: &str| {
            let mend = "write it as in `http://proxy.example.com:3128`";
            Err(Error::config(named_by, without_credentials(text), reason, mend))
        };
        // As curl and Go have it: without a scheme it is an HTTP proxy.
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        // SOCKS proxies resolve names themselves, as `socks5h` asks, both here and in Go.
        let whole = whole.replacen("socks5h://", "socks5://", 1);
        let Some(uri) = whole.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty())) else {
            return refuse("not the address of a proxy");
        };
        let signs_in = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        match uri.scheme_str() {
            Some("http") => {}
            Some("socks5") if !signs_in => {}
            Some("socks5") => return refuse("the sign-in of SOCKS proxies is not supported"),
            // Kube's client would judge the proxy's certificate by the cluster's authority.
            Some("https") => return refuse("proxies that are themselves reached by TLS are not supported"),
            _ => return refuse("not an HTTP or SOCKS 5 proxy"),
        }
        Ok(Proxy { uri, named_by: named_by.to_owned() })
    }
}

/// An address without user name and password, whatever else is wrong with it.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

/// A variable in capitals, and its value.
type Named = Option<(&'static str, String)>;

/// What the environment says of proxies.
#[derive(Debug, Default)]
struct Variables {
    http: Named,
    https: Named,
    all: Named,
    no: Option<String>,
}

impl Variables {
    fn read() -> Variables {
        // In capitals first, as the AWS SDK and Go have it.
        let value =
            |name: &'static str| config::variable(name).or_else(|| config::variable(&name.to_ascii_lowercase()));
        let named = |name: &'static str| value(name).map(|value| (name, value));
        Variables {
            http: named("HTTP_PROXY"),
            https: named("HTTPS_PROXY"),
            all: named("ALL_PROXY"),
            no: value("NO_PROXY"),
        }
    }

    fn proxy(&self, server: &Uri) -> Result<Option<Proxy>> {
        let own = if server.scheme_str() == Some("http") { &self.http } else { &self.https };
        let Some((name, value)) = own.as_ref().or(self.all.as_ref()) else { return Ok(None) };
        let no = self.no.as_deref().unwrap_or_default();
        // To the matcher this is every name and no address.
        if no.split(',').any(|rule| rule.trim() == "*") {
            return Ok(None);
        }
        // Only what is not to be proxied is matched; any proxy does for that.
        let rules = exceptions(no, server);
        let matcher = Matcher::builder().all("http://proxy").no(rules).build();
        if matcher.intercept(server).is_none() {
            return Ok(None);
        }
        Proxy::parsed(value, name).map(Some)
    }
}

/// The variables that keep hosts from the proxies of the environment, on top of those that they spare already; none where
/// there is no proxy. Both spellings: programs differ in which they prefer.
#[cfg(feature = "sandbox")]
pub(crate) fn sparing(hosts: &[&str]) -> Vec<(&'static str, String)> {
    let known = Variables::read();
    if [&known.http, &known.https, &known.all].iter().all(|named| named.is_none()) {
        return Vec::new();
    }
    let rules = known.no.iter().map(String::as_str).chain(hosts.iter().copied()).collect::<Vec<_>>().join(",");
    vec![("NO_PROXY", rules.clone()), ("no_proxy", rules)]
}

/// `NO_PROXY` without the forms that Go knows and the matcher does not: `*.example.com`, and ports.
/// <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>
fn exceptions(rules: &str, server: &Uri) -> String {
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let rules = rules.split(',').map(str::trim).filter_map(|rule| {
        let rule = rule.strip_prefix("*.").unwrap_or(rule);
        let Some((host, of_port)) = rule.rsplit_once(':') else { return Some(rule) };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        match of_port.parse::<u16>() {
            Ok(of_port) if bracketed || !host.contains(':') => {
                (of_port == port).then_some(host.trim_matches(['[', ']']))
            }
            _ => Some(rule),
        }
    });
    rules.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(https: &str, no: &str) -> Variables {
        Variables { https: Some(("HTTPS_PROXY", https.to_owned())), no: Some(no.to_owned()), ..Variables::default() }
    }

    fn goes_through(server: &str, no: &str) -> bool {
        variables("http://proxy.example.com:3128", no).proxy(&server.parse().unwrap()).unwrap().is_some()
    }

    #[test]
    fn no_proxy_is_matched_against_the_server_and_not_against_the_proxy() {
        let eks = "https://0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com";
        for (server, no, through) in [
            (eks, "", true),
            (eks, "proxy.example.com,localhost,", true),
            (eks, "*", false),
            (eks, ".eks.amazonaws.com", false),
            (eks, "eks.amazonaws.com", false),
            (eks, "*.eks.amazonaws.com", false),
            (eks, "localhost, .eks.amazonaws.com:443", false),
            (eks, ".eks.amazonaws.com:8443", true),
            (eks, "notamazonaws.com", true),
            ("https://10.0.3.4:6443", "*", false),
            ("https://10.0.3.4:6443", "10.0.0.0/8", false),
            ("https://10.0.3.4:6443", "10.0.3.4:6443", false),
            ("https://10.0.3.4:6443", "10.0.3.4:443", true),
            ("https://[fd00::1]:6443", "fd00::1", false),
            ("https://[fd00::1]:6443", "[fd00::1]:6443", false),
            ("https://[fd00::1]:6443", "fd00::/8", false),
        ] {
            assert_eq!(goes_through(server, no), through, "{server} with NO_PROXY={no}");
        }
    }

    #[test]
    fn each_scheme_has_its_variable_and_one_is_for_all() {
        let named = |name: &'static str| Some((name, format!("{}.example.com:1", name.to_ascii_lowercase())));
        let both = Variables { http: named("HTTP"), all: named("ALL"), ..Variables::default() };
        let of = |server: &str| both.proxy(&server.parse().unwrap()).unwrap().unwrap().to_string();
        assert_eq!(of("http://api"), "http://http.example.com:1 (HTTP)");
        assert_eq!(of("https://api"), "http://all.example.com:1 (ALL)");
        assert_eq!(Variables::default().proxy(&"https://api".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn credentials_lead_to_the_proxy_and_are_never_shown() {
        let server = "https://api".parse().unwrap();
        let proxy = variables("http://me:p%40ss@proxy:3128", "").proxy(&server).unwrap().unwrap();
        assert_eq!(proxy.address(), "http://me:p%40ss@proxy:3128");
        assert_eq!(proxy.to_string(), "http://proxy:3128 (HTTPS_PROXY)");
        assert!(!format!("{proxy:?}").contains("p%40ss"));
        for wrong in [
            "http://me:p@ss word@proxy:3128",
            "ftp://me:p@ss@proxy",
            "https://me:p@ss@proxy",
            "socks5h://me:p@ss@proxy:1080",
            "socks4://proxy:1080",
            "http://",
            "me:p@ss@",
        ] {
            let error = variables(wrong, "").proxy(&server).unwrap_err();
            assert_eq!(error.exit_code(), crate::exit_code::USAGE, "{wrong}");
            let text = error.to_string();
            assert!(text.contains("HTTPS_PROXY") && !text.contains("p@ss") && !text.contains("me:"), "{text}");
            assert!(crate::hint::of(&error).unwrap().contains("http://proxy.example.com:3128"));
        }
    }

    #[test]
    fn socks_proxies_resolve_names_in_either_spelling() {
        for text in ["socks5://proxy:1080", "socks5h://proxy:1080"] {
            assert_eq!(Proxy::of_kubeconfig(text).unwrap().address(), "socks5://proxy:1080");
        }
    }
}
