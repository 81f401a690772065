//! What a name says: `dbPassword`, `db_password` and `DB-PASSWORD` are the same words. Pure.

/// What a name says of the value below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing: it is what the field above says.
    #[default]
    Nothing,
    /// It is a secret, with everything below.
    Secret,
    /// It names a secret, or bounds one.
    Reference,
}

// Each list is one text, its words between spaces.

/// Words that make a secret, also at the end of a longer word (`authtoken`).
const SECRET: &str = "password passwords passwd passphrase passcode secret secrets token tokens credential credentials apikey \
                      accesskey secretkey privatekey dockerconfigjson";

/// Words that make one as they are.
const WHOLE: &str = "creds cred dockercfg dsn pat";

/// Words that make one at the end of a name.
const LAST: &str = "pass authorization";

/// What makes one before `key`.
const BEFORE_KEY: &str = "private api access encryption signing master account storage client server tls ssl ssh host shared hmac \
                          license auth deploy session webhook cert certificate ca root app";

/// Other words that make one beside each other.
const PAIRS: [[&str; 2]; 4] = [["connection", "string"], ["key", "pem"], ["amz", "signature"], ["docker", "config"]];

/// Fields whose `key` is a private key.
const OF_TLS: &str = "tls ssl mtls cert certs certificate certificates pki keypair https ca";

/// A name that ends like this names a secret, says where it is, or bounds it.
const REFERS_LAST: &str = "name names ref refs reference references seconds minutes hours days ttl expiration expiry \
                           duration timeout period interval policy policies rotation type kind length size count limit \
                           limits path paths dir file files filename mount mounts volume volumes namespace namespaces class \
                           provider source sources store manager arn url uri endpoint audience audiences issuer algorithm \
                           annotations labels version driver selector header claim create mode review requests operator \
                           generator controller encryption binding";

/// Names that say nothing of their own and still hold no secret below one that does.
const BOUNDS: &str = "audience audiences path seconds ttl expiration mode enabled create optional namespace annotations labels type kind version \
     arn ref";

fn is_in(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

/// What `name` says, where `parent` is the field that it is in.
pub(super) fn of(name: &str, parent: &str) -> Says {
    let words = split(name);
    if !is_secret(&words) && !is_key(&words, parent) {
        return Says::Nothing;
    }
    if refers(&words) { Says::Reference } else { Says::Secret }
}

/// Whether a name bounds the secret that it is in.
pub(super) fn bounds(name: &str) -> bool {
    split(name).last().is_some_and(|last| is_in(BOUNDS, last))
}

fn is_secret(words: &[String]) -> bool {
    let alone = words.len() == 1;
    let one = |(place, word): (usize, &String)| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let last = place + 1 == words.len();
        is_in(WHOLE, word)
            || SECRET.split(' ').any(|secret| word.ends_with(secret))
            || (last && is_in(LAST, word))
            // The folder of a shell is a variable of this name.
            || (word == "pwd" && !alone)
    };
    let two = |pair: &[String]| {
        let (first, second) = (pair[0].as_str(), pair[1].as_str());
        (matches!(second, "key" | "keys") && is_in(BEFORE_KEY, first)) || PAIRS.contains(&[first, second])
    };
    words.iter().enumerate().any(one) || words.windows(2).any(two)
}

/// Whether it is the `key` beside a certificate.
fn is_key(words: &[String], parent: &str) -> bool {
    let [word] = words else { return false };
    word == "key" && split(parent).iter().any(|above| is_in(OF_TLS, above))
}

fn refers(words: &[String]) -> bool {
    let (first, second) = (words.first().map(String::as_str), words.get(1).map(String::as_str));
    words.last().is_some_and(|last| is_in(REFERS_LAST, last))
        // `existingSecret` and `imagePullSecrets` are names.
        || words.iter().any(|word| word == "existing" || word == "pull")
        // `maxTokens` are counted.
        || matches!(first, Some("max" | "min"))
        // Charts of such names bring controllers that sync secrets.
        || (matches!(first, Some("external" | "sealed")) && matches!(second, Some("secret" | "secrets")))
}

/// The words of a name, in small letters; a domain before a slash is whose name it is and says nothing.
fn split(name: &str) -> Vec<String> {
    let name = match name.rsplit_once('/') {
        Some((domain, own)) if domain.contains('.') => own,
        _ => name,
    };
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after_small = before.is_some_and(|before| before.is_lowercase() || before.is_numeric());
        // The last of several capitals begins the next word: `TLSSecret`.
        let ends_capitals =
            before.is_some_and(char::is_uppercase) && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if !letter.is_alphanumeric() || (letter.is_uppercase() && (after_small || ends_capitals)) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_told_apart_however_they_are_joined() {
        for (name, words) in [
            ("dbPassword", "db password"),
            ("DB_PASSWORD", "db password"),
            ("db-password.v2", "db password v2"),
            ("keepTLSSecret", "keep tls secret"),
            ("APIKey", "api key"),
            ("webhookTLS", "webhook tls"),
            ("apiKeyIDs", "api key i ds"),
            ("reloader.example.com/auto", "auto"),
            ("a/b", "a b"),
            ("", ""),
        ] {
            assert_eq!(split(name).join(" "), words, "{name}");
        }
    }
}
