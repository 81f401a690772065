//! `explain`: what a step or a check is for, what breaks without it, and how to mend it. Asks nobody.

use std::fmt::Write as _;

use crate::cli::{ExplainArgs, Output};
use crate::error::Result;
use crate::exit_code;
use crate::explain::{self, Explanation};
use crate::render::style::Styles;
use crate::render::terminal::Terminal;
use crate::validate;

/// Runs the command.
///
/// # Errors
/// No step and no check has that id.
pub fn run(output: Output, args: &ExplainArgs, terminal: Terminal) -> Result<u8> {
    let ids = explain::codes();
    let chosen: Vec<_> = match &args.code {
        Some(code) => {
            // The steps of the user's own components are of kinds that are known; which components there are is not asked.
            if explain::of(code).is_none() {
                validate::one_of("CODE", code, ids.iter().map(String::as_str))?;
            }
            vec![code.as_str()]
        }
        None => ids.iter().map(String::as_str).collect(),
    };
    let explained: Vec<_> = chosen.iter().filter_map(|id| Some((*id, explain::of(id)?))).collect();
    terminal.result(&match (output, &args.code) {
        (Output::Json, _) => json(&explained),
        (_, Some(_)) => explained.iter().map(|(id, explanation)| whole(id, explanation, terminal.out)).collect(),
        (_, None) => explained.iter().fold(String::new(), |mut text, (id, explanation)| {
            let _ = writeln!(text, "{id:26}{}", explanation.what);
            text
        }),
    });
    Ok(exit_code::DONE)
}

fn whole(id: &str, explanation: &Explanation, styles: Styles) -> String {
    let mut text = format!("{}\n", styles.bold(id));
    for (word, line) in [
        ("what", explanation.what),
        ("why", explanation.why),
        ("breaks", explanation.breaks),
        ("mend", explanation.mend),
    ] {
        let _ = writeln!(text, "  {word:9}{line}");
    }
    for (place, reference) in explanation.references.iter().enumerate() {
        let _ = writeln!(text, "  {:9}{}", if place == 0 { "see" } else { "" }, styles.hint(reference));
    }
    text
}

fn json(explained: &[(&str, Explanation)]) -> String {
    let all: Vec<_> = explained
        .iter()
        .map(|(id, explanation)| {
            serde_json::json!({
                "id": id,
                "what": explanation.what,
                "why": explanation.why,
                "breaks": explanation.breaks,
                "mend": explanation.mend,
                "references": explanation.references,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(all))
}
