//! Rules for values that people give, checked offline. Every error names the field, the value and the mend.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files;

/// EKS: `^[0-9A-Za-z][A-Za-z0-9\-_]*`, at most 100.
/// <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html>
pub(crate) fn cluster_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 100 && name.chars().all(good) {
        return Ok(());
    }
    let mend = "give the cluster's name (not its ARN): letters, digits, `-` and `_`, at most 100";
    Err(Error::config("--cluster", name, "not the name of an EKS cluster", mend))
}

/// A region such as `eu-west-1` or `us-gov-west-1`.
pub(crate) fn region(region: &str) -> Result<()> {
    let parts: Vec<_> = region.split('-').collect();
    let words =
        |parts: &[&str]| parts.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase()));
    let good = match parts.split_last() {
        Some((number, rest)) => {
            rest.len() >= 2 && words(rest) && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
        }
        None => false,
    };
    if good {
        return Ok(());
    }
    Err(Error::config(
        "--region",
        region,
        "not the name of an AWS region",
        "write it as in `eu-west-1` (no zone letter)",
    ))
}

/// Twelve digits.
pub(crate) fn account(account: &str) -> Result<()> {
    if account.len() == 12 && account.chars().all(|c| c.is_ascii_digit()) {
        return Ok(());
    }
    let mend = "give the 12 digits; in YAML put them in quotes, so that a leading zero stays";
    Err(Error::config("--account", account, "not an AWS account id", mend))
}

/// `http` or `https` with a host.
pub(crate) fn endpoint_url(text: &str) -> Result<()> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        _ => Err(Error::config("--endpoint-url", text, "not an address", "write it as in `http://127.0.0.1:4566`")),
    }
}

/// The ARN of an IAM role or policy; AWS managed policies have `aws` for the account.
pub(crate) fn iam_arn(field: &str, arn: &str, kind: &str) -> Result<()> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let good = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            partition.starts_with("aws")
                && (*account == "aws" || (account.len() == 12 && account.chars().all(|c| c.is_ascii_digit())))
                && resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| {
                    !rest.is_empty() && !rest.ends_with('/') && rest.chars().all(|c| c.is_ascii_graphic() && c != '*')
                })
        }
        _ => false,
    };
    if good {
        return Ok(());
    }
    let mend = format!("write it as in `arn:aws:iam::111122223333:{kind}/NAME`");
    Err(Error::config(field, arn, format!("not the ARN of an IAM {kind}"), mend))
}

/// A node role: the ARN of a role, or a role's name.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html>
pub(crate) fn node_role(role: &str) -> Result<()> {
    let named = !role.is_empty()
        && role.len() <= 64
        && role.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c));
    if named || iam_arn("--node-role", role, "role").is_ok() {
        return Ok(());
    }
    let mend = "give the role's name or its ARN (not that of an instance profile)";
    Err(Error::config("--node-role", role, "not the name or ARN of an IAM role", mend))
}

/// A version of an EKS add-on, such as `v1.64.0-eksbuild.1`.
pub(crate) fn addon_version(field: &str, text: &str) -> Result<()> {
    let parsed = text.strip_prefix('v').and_then(|rest| rest.split_once("-eksbuild."));
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if let Some((version, build)) = parsed
        && number(build)
        && version.split('.').count() == 3
        && version.split('.').all(number)
    {
        return Ok(());
    }
    let mend = "write it as EKS does, as in `v1.64.0-eksbuild.1` (aws eks describe-addon-versions lists them)";
    Err(Error::config(field, text, "not the version of an EKS add-on", mend))
}

/// IAM: begins and ends with `/`, at most 512, visible ASCII.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
pub(crate) fn iam_path(path: &str) -> Result<()> {
    let good = path == "/"
        || (path.len() > 2
            && path.starts_with('/')
            && path.ends_with('/')
            && path.chars().all(|c| c.is_ascii_graphic()));
    if good && path.len() <= 512 && !path.contains("//") {
        return Ok(());
    }
    let mend = format!("begin and end it with one `/`, as in `/{}/`", path.trim_matches('/'));
    Err(Error::config("--iam-path", path, "not an IAM path", mend))
}

/// IAM names have letters, digits and `+=,.@_-`; a long prefix would leave no room for the cluster's name.
pub(crate) fn name_prefix(prefix: &str) -> Result<()> {
    if prefix.len() <= 20 && prefix.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c)) {
        return Ok(());
    }
    let mend = "use at most 20 letters, digits and `+=,.@_-`";
    Err(Error::config("--name-prefix", prefix, "not usable in IAM names", mend))
}

/// IAM: at most 50 tags; keys of 1 to 128, values of at most 256 characters; `aws:` is AWS's; keys that differ in case only are
/// one key. <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Result<()> {
    // Four of the fifty are ours.
    if tags.len() > 46 {
        let mend = "give at most 46: IAM takes 50, and 4 are ours";
        return Err(Error::config("--tag", tags.len().to_string(), "too many tags", mend));
    }
    let good = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
    for (key, value) in tags {
        let reason = if key.is_empty() || key.chars().count() > 128 {
            "the key must have 1 to 128 characters"
        } else if value.chars().count() > 256 {
            "the value has more than 256 characters"
        } else if key.to_ascii_lowercase().starts_with("aws:") {
            "keys that begin with `aws:` are AWS's own"
        } else if key.to_lowercase().starts_with("eks-bootstrap/") {
            "keys that begin with `eks-bootstrap/` are our own, in upper case and in lower case"
        } else if !good(key) || !good(value) {
            "only letters, digits, spaces and `_.:/=+-@` are allowed"
        } else {
            continue;
        };
        return Err(Error::config("--tag", format!("{key}={value}"), reason, "correct the tag"));
    }
    tags.keys().try_for_each(|key| tag_key(key, tags.keys()))
}

/// A key of a tag among others: IAM takes two that differ in case only for one key given twice.
pub(crate) fn tag_key<'a>(key: &str, mut others: impl Iterator<Item = &'a String>) -> Result<()> {
    match others.find(|other| *other != key && other.to_lowercase() == key.to_lowercase()) {
        None => Ok(()),
        Some(other) => {
            let value = format!("{key}` and `{other}");
            Err(Error::config("--tag", value, "IAM does not tell keys apart by case", "use one of the two keys"))
        }
    }
}

/// A chart version is a semantic version without `v`.
pub(crate) fn version(field: &str, version: &str) -> Result<()> {
    if semver::Version::parse(version).is_ok() {
        return Ok(());
    }
    let mend = "give one exact chart version, as in `3.5.0` (no `v`, no range)";
    Err(Error::config(field, version, "not a chart version", mend))
}

/// At least one, and no more than anyone runs.
pub(crate) fn replicas(component: &str, replicas: Option<u32>) -> Result<()> {
    match replicas {
        Some(count) if !(1..=20).contains(&count) => {
            Err(Error::config(format!("replicas of {component}"), count.to_string(), "out of range", "give 1 to 20"))
        }
        _ => Ok(()),
    }
}

/// A KMS key: the ARN of a key or an alias, or the id of a key (a UUID, or `mrk-` and 32 digits).
/// <https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id>
pub(crate) fn kms_key(field: &str, key: &str) -> Result<()> {
    let hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let is_id = |id: &str| {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        (lengths == [8, 4, 4, 4, 12] && id.split('-').all(hex))
            || id.strip_prefix("mrk-").is_some_and(|rest| rest.len() == 32 && hex(rest))
    };
    let is_alias =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c));
    let parts: Vec<_> = key.splitn(6, ':').collect();
    let good = match parts.as_slice() {
        ["arn", partition, "kms", region, account, resource] => {
            partition.starts_with("aws")
                && self::region(region).is_ok()
                && self::account(account).is_ok()
                && (resource.strip_prefix("key/").is_some_and(is_id)
                    || resource.strip_prefix("alias/").is_some_and(is_alias))
        }
        [id] => is_id(id),
        _ => false,
    };
    if good {
        return Ok(());
    }
    let mend = "give the key's ARN, as in `arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`, \
                or its id";
    Err(Error::config(field, key, "not a KMS key", mend))
}

/// Patterns of fields that others own.
pub(crate) fn ignore_drift(patterns: &[String]) -> Result<()> {
    for pattern in patterns {
        if let Err(reason) = crate::content::Pattern::parse(pattern) {
            let mend = "write it as the plan prints it, KIND/[NAMESPACE/]NAME PATH, with `*` for any characters: \
                        `Deployment/kube-system/* spec.template.spec.containers[*].image`";
            return Err(Error::config("--ignore-drift", pattern, reason, mend));
        }
    }
    Ok(())
}

/// Keys for a policy: only full ARNs of keys mean something there, and one policy holds about thirty.
/// <https://docs.aws.amazon.com/kms/latest/developerguide/cmks-in-iam-policies.html>
pub(crate) fn kms_keys(keys: &[String]) -> Result<()> {
    if keys.len() > 30 {
        let mend = "give at most 30, which is what one IAM policy holds, or use --ebs-role-arn with a role of your own";
        return Err(Error::config("--kms-key", keys.len().to_string(), "too many keys", mend));
    }
    for key in keys {
        kms_key("--kms-key", key)?;
        if !key.contains(":key/") {
            let mend = "give the ARN of the key itself: IAM policies know neither aliases nor bare ids";
            return Err(Error::config("--kms-key", key, "not the ARN of a KMS key", mend));
        }
    }
    Ok(())
}

/// A duration such as `90s`, `10m` or `1h30m`, from one second to one day.
pub(crate) fn duration(field: &str, text: &str) -> Result<Duration> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    match parsed {
        Some(duration) if (1..=86_400).contains(&duration.as_secs()) => Ok(duration),
        _ => Err(Error::config(field, text, "not a duration from 1s to 24h", "write it as in `90s` or `10m`")),
    }
}

/// A regular file that exists.
pub(crate) fn file(field: &str, path: &Path) -> Result<()> {
    let refuse = |reason: &str, mend: &str| Err(Error::config(field, path.display().to_string(), reason, mend));
    match files::look(path) {
        Ok(()) => Ok(()),
        Err(error) if error.is_missing() => refuse("no such file", "give a file that exists"),
        Err(error) => refuse(&error.to_string(), "give a regular file"),
    }
}

/// An object as `KIND/NAME` or `KIND/NAMESPACE/NAME`.
pub(crate) fn object_name(field: &str, text: &str) -> Result<()> {
    let parts: Vec<_> = text.split('/').collect();
    if matches!(parts.len(), 2 | 3) && parts.iter().all(|part| !part.is_empty()) {
        return Ok(());
    }
    let mend = "write it as in `Deployment/metrics-server`, or `RoleBinding/kube-system/NAME`";
    Err(Error::config(field, text, "not KIND/NAME", mend))
}

/// One of a few known words; the mend names the nearest.
pub(crate) fn one_of<'a>(field: &str, value: &str, known: impl Iterator<Item = &'a str>) -> Result<()> {
    let known: Vec<_> = known.collect();
    if known.contains(&value) {
        return Ok(());
    }
    let nearest = nearest(value, known.iter().copied());
    let mend = match nearest.first() {
        Some(near) => format!("did you mean `{near}`? Known: {}", known.join(", ")),
        None => format!("known: {}", known.join(", ")),
    };
    Err(Error::config(field, value, "not known", mend))
}

/// The known words that resemble `value`, nearest first.
pub(crate) fn nearest<'a>(value: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<_> =
        known.map(|word| (strsim::jaro_winkler(value, word), word)).filter(|(near, _)| *near > 0.7).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests;
