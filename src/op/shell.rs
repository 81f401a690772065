//! Quoting for the commands that a plan can be printed as. Pure.
//!
//! What `sh` would read is in POSIX (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html>): nothing but a
//! single quote has a meaning inside single quotes. What a terminal would obey stands in the script as `printf` writes it, since
//! people look at a script before they run it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::escape::is_unseen;

/// Quotes a word for a POSIX shell where it needs it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let end = word.trim_end_matches('\n');
    if !end.chars().any(is_unseen) && end.len() == word.len() {
        return single(word);
    }
    // A command substitution drops the line breaks at its end, so those stand behind it.
    let ends = if end.len() < word.len() { single(&word[end.len()..]) } else { String::new() };
    format!("\"$(printf {})\"{ends}", single(&format_of(end)))
}

fn single(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The format with which `printf` writes the text, in characters that can be seen.
fn format_of(text: &str) -> String {
    let mut format = String::new();
    for (at, character) in text.char_indices() {
        match character {
            '\\' => format.push_str(r"\\"),
            '%' => format.push_str("%%"),
            '\n' => format.push_str(r"\n"),
            // Else it would be taken for an option.
            '-' if at == 0 => format.push_str(r"\055"),
            other if is_unseen(other) => {
                for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(format, "\\{byte:03o}");
                }
            }
            other => format.push(other),
        }
    }
    format
}

/// Words, each quoted.
pub fn words<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Tags as `--tags` of `aws iam` takes them.
pub fn tag_list<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let tags: Vec<_> = tags.into_iter().collect();
    if tags.iter().all(|(key, value)| is_short(key, false) && is_short(value, true)) {
        return words(&tags.iter().map(|(key, value)| format!("Key={key},Value={value}")).collect::<Vec<_>>());
    }
    let list: Vec<_> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    quote(&Value::from(list).to_string())
}

/// Tags as `--tags` of `aws eks` takes them.
pub fn tag_map<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let tags: Vec<_> = tags.into_iter().collect();
    if tags.iter().all(|(key, value)| is_short(key, false) && is_short(value, true)) {
        return quote(&tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","));
    }
    let map: Map<_, _> = tags.iter().map(|(key, value)| ((*key).clone(), Value::from(value.as_str()))).collect();
    quote(&Value::from(map).to_string())
}

/// Whether the shorthand of the aws CLI holds the text: a comma ends a value and an equals sign a key, spaces at the ends are
/// lost, and keys have few signs (<https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-shorthand.html>). JSON holds all.
fn is_short(text: &str, is_value: bool) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c) || (is_value && "@+= ".contains(c));
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    text.chars().all(inside) && !text.ends_with(' ') && (begins || (is_value && text.is_empty()))
}

/// A name for a variable of the script that says what it is for.
pub fn variable(what: &str, name: &str) -> String {
    let fitting = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{what}_{}", name.chars().map(fitting).collect::<String>())
}

/// A file that a person has to supply to run a command, since what it holds is not printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Supply {
    /// The variable that names it.
    pub variable: String,
    /// What it has to be.
    pub what: String,
}

/// The file that such a variable names; without one the script ends there.
pub fn required(variable: &str) -> String {
    format!("\"${{{variable}:?names no file}}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn words_are_quoted_where_needed() {
        assert_eq!(quote("arn:aws:iam::1:role/x"), "arn:aws:iam::1:role/x");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("$HOME"), "'$HOME'");
        assert_eq!(quote("~/x"), "'~/x'");
    }

    #[test]
    fn what_a_terminal_obeys_is_not_in_the_script() {
        assert_eq!(quote("a\nb"), r#""$(printf 'a\nb')""#);
        assert_eq!(quote("-n\u{1b}[2J%s\\'"), r#""$(printf '\055n\033[2J%%s\\'\''')""#);
        assert_eq!(quote("a\n\n"), "\"$(printf 'a')\"'\n\n'");
        assert_eq!(quote("\u{202e}"), r#""$(printf '\342\200\256')""#);
    }

    /// What every shell at hand makes of a quoted word.
    #[expect(clippy::disallowed_methods, reason = "a shell is asked what it reads")]
    fn read_by_shells(word: &str) -> Vec<String> {
        let script = format!("printf %s {}", quote(word));
        let run = |shell| std::process::Command::new(shell).args(["-c", &script]).output().ok();
        let outputs: Vec<_> = ["sh", "bash", "dash"].into_iter().filter_map(run).collect();
        assert!(!outputs.is_empty(), "there is no shell");
        outputs.into_iter().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).collect()
    }

    #[test]
    fn shells_read_the_word_that_was_meant() {
        for word in [
            "$(touch PWNED)",
            "`touch PWNED`",
            "'; touch PWNED; '",
            "\"$(touch PWNED)\"",
            "a\n; touch PWNED\n#",
            "-e\\n\r\u{1b}]0;x\u{7}%s%d\u{9b}",
            "\\042 \\\\ \u{202e}é\u{e0041}",
            "\n",
            "a\n\nb\n\n",
            "*?[a]{b,c}~!#&|<>",
        ] {
            for read in read_by_shells(word) {
                assert_eq!(read, word);
            }
        }
    }

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_that_the_shorthand_would_break_are_json() {
        let plain = tags(&[("a.b/c", "d=e+f"), ("x", ""), ("y", "z z")]);
        assert_eq!(tag_list(&plain), "Key=a.b/c,Value=d=e+f Key=x,Value= 'Key=y,Value=z z'");
        assert_eq!(tag_map(&plain), "'a.b/c=d=e+f,x=,y=z z'");
        for (key, value) in
            [("team x", "y"), ("mail@x", "y"), ("k", "a,b=c"), ("k", " y"), ("k", "y "), ("k", "=y"), ("k", "[y]")]
        {
            let json = format!("[{{\"Key\":\"{key}\",\"Value\":\"{value}\"}}]");
            assert_eq!(tag_list(&tags(&[(key, value)])), format!("'{json}'"));
            assert_eq!(tag_map(&tags(&[(key, value)])), format!("'{{\"{key}\":\"{value}\"}}'"));
        }
    }

    #[test]
    fn variables_have_names_that_shells_take() {
        assert_eq!(variable("SECRETS", "aws-ebs$(x)"), "SECRETS_AWS_EBS__X_");
        assert_eq!(required("A"), "\"${A:?names no file}\"");
    }
}
