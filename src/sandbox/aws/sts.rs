//! The simulated STS: who am I, and credentials of roles.
//!
//! Both ways into a role read its trust document as STS knows it at that moment, which lags behind IAM.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::auth::{Credential, Principal};
use super::clock::{after, visible};
use super::error::{ApiError, Result};
use super::form::Form;
use super::iam::provider::Provider;
use super::iam::role::Role;
use super::iam::time;
use super::jwt::Token;
use super::mfa;
use super::trust::{self, Question, Who};
use super::world::{CallContext, World};
use super::xml::Xml;

/// Answers an STS call.
pub(super) fn call(world: &mut World, cx: &CallContext, operation: &str, form: &Form) -> Result<Option<Xml>> {
    match operation {
        "GetCallerIdentity" => caller_identity(cx).map(Some),
        "AssumeRole" => assume_role(world, cx, form).map(Some),
        "AssumeRoleWithWebIdentity" => assume_with_token(world, cx, form).map(Some),
        other => Err(ApiError::not_implemented(&format!("sts:{other}"))),
    }
}

fn caller_identity(cx: &CallContext) -> Result<Xml> {
    let caller = cx.caller.as_ref().ok_or_else(|| ApiError::new("MissingAuthenticationToken", 403, ""))?;
    Ok(Xml::build(|xml| {
        xml.text("Arn", &caller.principal.arn);
        xml.text("UserId", &caller.principal.user_id);
        xml.text("Account", &caller.principal.account);
    }))
}

fn session_name(form: &Form) -> Result<String> {
    let name = form.required("RoleSessionName")?;
    let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
    if !valid || !(2..=64).contains(&name.len()) {
        let rule = "satisfy regular expression pattern: [\\w+=,.@-]*";
        return Err(ApiError::constraint(name, "roleSessionName", rule));
    }
    Ok(name.to_owned())
}

fn assume_role(world: &mut World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let arn = form.required("RoleArn")?;
    let session = session_name(form)?;
    let asked = form.number("DurationSeconds", 900, 43200)?;
    let caller = cx.caller.as_ref().ok_or_else(|| ApiError::new("MissingAuthenticationToken", 403, ""))?;
    let denied = || {
        let text =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.principal.arn);
        ApiError::new("AccessDenied", 403, text)
    };
    // Before the trust document is read, which asks whether it was there.
    let mfa = mfa::check(world, &caller.principal.arn, form)?;
    let role = world.role_by_arn(arn).ok_or_else(denied)?;
    let document = role.trust_seen_by_sts(world, cx.now).ok_or_else(denied)?;
    let session_of = caller.principal.arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
    let mut keys = BTreeMap::from([
        ("aws:principalarn".to_owned(), vec![caller.principal.arn.clone()]),
        ("aws:principalaccount".to_owned(), vec![caller.principal.account.clone()]),
    ]);
    // Keys of users carry it only where a code was given; those of sessions always do.
    if mfa || session_of.is_some() {
        keys.insert("aws:multifactorauthpresent".to_owned(), vec![mfa.to_string()]);
    }
    if let Some(external) = form.get("ExternalId") {
        keys.insert("sts:externalid".to_owned(), vec![external.to_owned()]);
    }
    let question = Question {
        action: "sts:AssumeRole".to_owned(),
        who: Who::Caller {
            arn: caller.principal.arn.clone(),
            account: caller.principal.account.clone(),
            role: session_of.and_then(|name| world.roles.get(name)).map(|role| role.arn.clone()),
        },
        keys,
    };
    if !trust::allows(document, &question).map_err(|what| ApiError::not_implemented(&what))? {
        return Err(denied());
    }
    let chained = session_of.is_some();
    if chained && asked.is_some_and(|seconds| seconds > 3600) {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(ApiError::validation(text));
    }
    let (role_name, longest) = (role.name.clone(), role.max_session);
    let seconds = duration(asked, longest)?;
    Ok(issue(world, cx.now, &role_name, &session, seconds, |_| {}))
}

fn invalid(text: &str) -> ApiError {
    ApiError::new("InvalidIdentityToken", 400, text)
}

/// Finds the provider of an issuer.
pub(super) fn provider_of<'a>(world: &'a World, now: Timestamp, issuer: &str) -> Result<&'a Provider> {
    let arn = world.iam_arn(&format!("oidc-provider/{}", issuer.trim_start_matches("https://")));
    world
        .providers
        .get(&arn)
        .filter(|provider| issuer.starts_with("https://") && visible(provider.created, world.lag, now))
        .ok_or_else(|| invalid(&format!("No OpenIDConnect provider found in your account for {issuer}")))
}

/// Picks the audience of a token that its provider takes.
pub(super) fn audience_of(provider: &Provider, audiences: &[String]) -> Result<String> {
    let known = audiences.iter().find(|audience| provider.client_ids.contains(*audience));
    known.cloned().ok_or_else(|| invalid("Incorrect token audience"))
}

/// Finds the role that a verified token asks for, if its trust document lets it in.
pub(super) fn role_of_token<'a>(
    world: &'a World,
    now: Timestamp,
    role_arn: &str,
    provider: &Provider,
    audiences: Vec<String>,
    subject: &str,
) -> Result<&'a Role> {
    let denied = || ApiError::new("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity");
    let role = world.role_by_arn(role_arn).ok_or_else(denied)?;
    let document = role.trust_seen_by_sts(world, now).ok_or_else(denied)?;
    let bare = provider.arn.split_once(":oidc-provider/").map_or("", |(_, bare)| bare);
    let key = |name: &str| format!("{bare}:{name}").to_ascii_lowercase();
    let question = Question {
        action: "sts:AssumeRoleWithWebIdentity".to_owned(),
        who: Who::Federated(provider.arn.clone()),
        keys: BTreeMap::from([(key("aud"), audiences), (key("sub"), vec![subject.to_owned()])]),
    };
    if !trust::allows(document, &question).map_err(|what| ApiError::not_implemented(&what))? {
        return Err(denied());
    }
    Ok(role)
}

fn duration(asked: Option<u64>, longest: u64) -> Result<u64> {
    let seconds = asked.unwrap_or(3600);
    if seconds > longest {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(ApiError::validation(text));
    }
    Ok(seconds)
}

fn assume_with_token(world: &mut World, cx: &CallContext, form: &Form) -> Result<Xml> {
    let arn = form.required("RoleArn")?;
    let session = session_name(form)?;
    let asked = form.number("DurationSeconds", 900, 43200)?;
    let not_a_token = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
    let token = Token::parse(form.required("WebIdentityToken")?).ok_or_else(|| invalid(not_a_token))?;
    let issuer = token.text("iss").ok_or_else(|| invalid("Missing a required claim: iss"))?;
    let subject = token.text("sub").ok_or_else(|| invalid("Missing a required claim: sub"))?;
    let provider = provider_of(world, cx.now, issuer)?;
    let unreachable = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements";
    let keys = world.issuer_keys.get(issuer).ok_or_else(|| invalid(unreachable))?;
    if !token.is_signed_by(keys) {
        return Err(invalid("The ID Token provided is not signed by a key of its issuer"));
    }
    let now = cx.now.as_second();
    let ends = token.seconds("exp").ok_or_else(|| invalid("Missing a required claim: exp"))?;
    if ends <= now {
        let text = format!("Token expired: current date/time {now} must be before the expiration date/time {ends}");
        return Err(ApiError::new("ExpiredTokenException", 400, text));
    }
    if token.seconds("nbf").is_some_and(|begins| begins > now) {
        return Err(invalid("The ID Token is not valid yet"));
    }
    let audiences = token.text("azp").map_or_else(|| token.audiences(), |azp| vec![azp.to_owned()]);
    let audience = audience_of(provider, &audiences)?;
    let provider_arn = provider.arn.clone();
    let role = role_of_token(world, cx.now, arn, provider, audiences, subject)?;
    let (role_name, longest, subject) = (role.name.clone(), role.max_session, subject.to_owned());
    let seconds = duration(asked, longest)?;
    Ok(issue(world, cx.now, &role_name, &session, seconds, |xml| {
        xml.text("SubjectFromWebIdentityToken", &subject);
        xml.text("Provider", &provider_arn);
        xml.text("Audience", &audience);
    }))
}

/// Hands out credentials of a role.
fn issue(
    world: &mut World,
    now: Timestamp,
    role: &str,
    session: &str,
    seconds: u64,
    more: impl FnOnce(&mut Xml),
) -> Xml {
    let role_id = world.roles.get(role).map(|role| role.id.clone()).unwrap_or_default();
    let credential = Credential {
        access_key_id: format!("ASIA{}", world.unique_hex(16).to_ascii_uppercase()),
        secret: world.unique_hex(40),
        session_token: Some(world.unique_hex(64)),
        expires: Some(after(now, Duration::from_secs(seconds))),
        principal: Principal {
            arn: format!("arn:{}:sts::{}:assumed-role/{role}/{session}", world.partition.name, world.account),
            account: world.account.clone(),
            user_id: format!("{role_id}:{session}"),
        },
        deny: Vec::new(),
        role: Some(role.to_owned()),
    };
    let answer = Xml::build(|xml| {
        xml.node("Credentials", |xml| {
            xml.text("AccessKeyId", &credential.access_key_id);
            xml.text("SecretAccessKey", &credential.secret);
            xml.optional("SessionToken", credential.session_token.as_ref());
            xml.optional("Expiration", credential.expires.map(time));
        });
        xml.node("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &credential.principal.user_id);
            xml.text("Arn", &credential.principal.arn);
        });
        more(xml);
    });
    world.credentials.insert(credential.access_key_id.clone(), credential);
    answer
}
