//! Texts that are secrets wherever they stand. Pure.
//!
//! Forms are those that their owners document, such as AWS for the ids of access keys
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>), RFC 7468 for private
//! keys, RFC 7519 for JSON web tokens and RFC 3986 for user information in addresses.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::words::{self, Says};

/// How tokens begin whose owners gave them a prefix, so that they are found when they leak.
const PREFIXES: &str = "ghp_ gho_ ghs_ ghu_ ghr_ github_pat_ glpat- xoxb- xoxp- xoxa- xoxs- xapp- sk_live_ rk_live_ dckr_pat_ hvs. \
                        AIza AGE-SECRET-KEY- k8s-aws-v1. https://hooks.slack.com/services/ ATATT3";

/// What comes behind such a prefix at the least.
const AFTER_PREFIX: usize = 16;

/// The base64 of how a PEM begins.
const PEM_IN_BASE64: &str = "LS0tLS1CRUdJTi";

/// Whether the text is a secret, or holds one.
pub(super) fn is_secret(text: &str) -> bool {
    is_private_key(text)
        || pieces(text).any(|piece| is_access_key(piece) || is_web_token(piece) || has_prefix(piece))
        || signs_in(text)
        || has_password(text)
        || assigns(text)
}

fn is_private_key(text: &str) -> bool {
    let plain = |text: &str| text.contains("-----BEGIN ") && text.contains("PRIVATE KEY");
    if plain(text) {
        return true;
    }
    let Some(at) = text.find(PEM_IN_BASE64) else { return false };
    let base64: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).collect();
    // As far as whole groups of it go.
    let whole = &base64[..base64.len() / 4 * 4];
    STANDARD.decode(whole).is_ok_and(|bytes| plain(&String::from_utf8_lossy(&bytes)))
}

/// What stands between spaces, quotes and signs that no token has.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'`,;()[]{}<>|".contains(c)).flat_map(|piece| {
        // The value of `--flag=value` too.
        let value = piece.split_once('=').map(|(_, value)| value);
        std::iter::once(piece).chain(value)
    })
}

fn is_access_key(piece: &str) -> bool {
    let rest = ["AKIA", "ASIA"].iter().find_map(|prefix| piece.find(prefix).map(|at| (at, &piece[at + 4..])));
    let Some((at, rest)) = rest else { return false };
    let alone = !piece[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    let id = rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit()).count();
    alone && id == 16
}

fn is_web_token(piece: &str) -> bool {
    let parts: Vec<_> = piece.split('.').collect();
    let [header, payload, _] = parts.as_slice() else { return false };
    header.starts_with("eyJ") && payload.len() > 2 && URL_SAFE_NO_PAD.decode(header).is_ok()
}

fn has_prefix(piece: &str) -> bool {
    PREFIXES.split(' ').any(|prefix| piece.strip_prefix(prefix).is_some_and(|rest| rest.len() >= AFTER_PREFIX))
}

/// `Bearer TOKEN`, and `Basic` with a name and a password in base64.
fn signs_in(text: &str) -> bool {
    let words: Vec<_> = text.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let (scheme, value) = (pair[0].rsplit([':', '=', '"', '\'']).next().unwrap_or_default(), pair[1]);
        let value = value.trim_matches(['"', '\'', ',']);
        if scheme.eq_ignore_ascii_case("bearer") {
            return value.len() >= 16;
        }
        let basic = || STANDARD.decode(value).is_ok_and(|bytes| bytes.contains(&b':'));
        scheme.eq_ignore_ascii_case("basic") && basic()
    })
}

/// `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c)).unwrap_or(rest.len());
        let user = rest[..end].rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
    })
}

/// `password: x`, `--token=x`, `{"secret": "x"}`, `?sig=x`: a whole configuration may be one text.
fn assigns(text: &str) -> bool {
    text.match_indices([':', '=']).any(|(at, _)| names_a_secret(&text[..at]) && gives(&text[at + 1..]))
}

/// Whether what stands before the sign ends with a name of a secret.
fn names_a_secret(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '"', '\'']);
    let begins = before.rfind(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
    let (rest, name) = match begins {
        Some(at) => before.split_at(at + before[at..].chars().next().map_or(1, char::len_utf8)),
        None => ("", before),
    };
    // Part of an address, an ARN or the name of an image otherwise.
    let stands_alone = rest.chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'`{[(,;&?".contains(c));
    stands_alone && words::of(name.trim_start_matches('-'), "") == Says::Secret
}

/// Whether what follows the sign is a value, and neither a switch, nothing, nor filled in later.
fn gives(after: &str) -> bool {
    let value = after.trim_start_matches([' ', '"', '\'']);
    let end = value.find(|c: char| c.is_whitespace() || "\"',;&}".contains(c)).unwrap_or(value.len());
    let value = &value[..end];
    let switch = ["", "true", "false", "null", "~", "none", "yes", "no", "[]", "{}"];
    let later = ["${", "$(", "{", "//", "<", "="];
    !switch.contains(&value.to_ascii_lowercase().as_str()) && !later.iter().any(|sign| value.starts_with(sign))
}
