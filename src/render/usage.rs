//! What clap says: help, the version, and what is wrong with a command line, with the arguments in it escaped.

use clap::builder::StyledStr;
use clap::error::ContextValue;

use crate::cli::Color;
use crate::escape::{is_unseen, line};
use crate::render::output;
use crate::render::terminal::Terminal;

/// Prints it: help and the version are results, everything else is a message.
pub fn print(mut error: clap::Error) {
    escape_arguments(&mut error);
    // What `--color` says is not known of a command line that cannot be read.
    let terminal = Terminal::new(Color::Auto, false, false);
    let styles = if error.use_stderr() { terminal.err } else { terminal.out };
    let text = error.render();
    let text = if styles.on { text.ansi().to_string() } else { text.to_string() };
    if error.use_stderr() { output::err(&text, styles.on) } else { output::out(&text, styles.on) }
}

fn escape_arguments(error: &mut clap::Error) {
    let texts = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(line(text).into_owned()))),
        // Suggestions repeat arguments, and have colours, which stay where nothing is to be escaped.
        ContextValue::StyledStrs(texts) => {
            let plain: Vec<_> = texts.iter().map(ToString::to_string).collect();
            let has_unseen = plain.iter().any(|text| text.chars().any(is_unseen));
            let escaped = plain.iter().map(|text| StyledStr::from(line(text).into_owned())).collect();
            has_unseen.then_some((kind, ContextValue::StyledStrs(escaped)))
        }
        _ => None,
    });
    for (kind, value) in texts.collect::<Vec<_>>() {
        let _ = error.insert(kind, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_shown_and_not_obeyed() {
        let (value, hostile) = ("--color=x\u{1b}[2J\nerror: forged", "--x\u{1b}[2J\nerror: forged");
        for arguments in
            [["plan", "-q", value], ["plan", "-q", hostile], ["apply", "-q", hostile], ["-q", "-v", hostile]]
        {
            let mut error =
                Cli::command().try_get_matches_from([&["eks-bootstrap"][..], &arguments].concat()).unwrap_err();
            escape_arguments(&mut error);
            let text = error.render().to_string();
            assert!(text.contains("\\u001b[2J\\nerror: forged"), "{text}");
            assert!(!text.contains('\u{1b}') && !text.contains("\nerror: forged"), "{text}");
        }
    }
}
