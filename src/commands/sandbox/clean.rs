//! `sandbox clean`: what is kept for later starts, how much it is, and removing it.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::Output;
use crate::error::{Error, Result};
use crate::escape::line;
use crate::exit_code;
use crate::render::terminal::Terminal;
use crate::sandbox::control_plane::{Kept, Programs, Sources, megabytes};

/// Runs the command.
///
/// # Errors
/// There is no cache folder, another process fills it, nobody can be asked, or it cannot be removed.
pub(super) async fn run(output: Output, yes: bool, terminal: Terminal) -> Result<u8> {
    let failed =
        |source| Error::Sandbox { what: "the programs cannot be removed".to_owned(), source: Box::new(source) };
    let kept = Programs::kept(&Sources::default()).map_err(failed)?;
    let json = output == Output::Json;
    if !json {
        terminal.result(&shown(&kept));
    }
    let removes = !kept.entries.is_empty();
    if removes && !yes {
        confirm(terminal).await?;
    }
    if removes {
        kept.remove().map_err(failed)?;
    }
    if json {
        let entries: Vec<_> = kept.entries.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect();
        let document = json!({"folder": kept.folder, "entries": entries, "bytes": kept.bytes(), "removed": removes});
        terminal.result(&format!("{document:#}\n"));
    } else if removes {
        terminal.note("removed; the next start gets them again\n");
    }
    Ok(exit_code::DONE)
}

fn shown(kept: &Kept) -> String {
    let folder = line(&kept.folder.display().to_string()).into_owned();
    if kept.entries.is_empty() {
        return format!("{folder} holds nothing\n");
    }
    let width = kept.entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{folder} holds {}:\n", megabytes(kept.bytes()));
    for (name, bytes) in &kept.entries {
        let (name, size) = (line(name), megabytes(*bytes));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:width$}  {size:>10}");
    }
    text
}

async fn confirm(terminal: Terminal) -> Result<()> {
    let refused = |what: &str, mend: &str| Err(Error::Refused { what: what.to_owned(), mend: mend.to_owned() });
    if !terminal.interactive {
        return refused("not confirmed: nobody can be asked without a terminal", "pass --yes to remove without asking");
    }
    if terminal.confirm("Remove all of it?").await {
        return Ok(());
    }
    refused("not confirmed; nothing was removed", "answer `y`, or pass --yes")
}
