//! The text of an error: what failed, its causes, the mend. Called by `main.rs`, which prints it.

use std::fmt::Write as _;

use crate::error::{Error, chain_of};
use crate::escape::paragraph;
use crate::hint;

/// `error: ...`, `  caused by: ...`, `hint: ...`; a cause that its parent repeats already is dropped.
pub fn of(error: &Error) -> String {
    let mut chain = chain_of(error).into_iter();
    let mut last = chain.next().unwrap_or_default();
    let mut text = format!("error: {}\n", paragraph(&last));
    for cause in chain {
        if !last.contains(&cause) {
            let _ = writeln!(text, "  caused by: {}", paragraph(&cause));
            last = cause;
        }
    }
    if let Error::ChartNotFound { reason, .. } = error {
        let _ = writeln!(text, "  caused by: {}", paragraph(reason));
    }
    if let Some(hint) = hint::of(error) {
        let _ = writeln!(text, "\nhint: {}", paragraph(&hint));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FileKind;

    #[test]
    fn causes_are_listed_once_and_the_mend_comes_last() {
        let source = std::io::Error::other("permission denied");
        let error =
            Error::ConfigFile { kind: FileKind::Configuration, path: "x.yaml".to_owned(), source: Box::new(source) };
        assert_eq!(
            of(&error),
            "error: cannot use configuration file `x.yaml`\n  caused by: permission denied\n\n\
             hint: `eks-bootstrap config init` prints a file to start from, and every field has a flag too (`eks-bootstrap plan --help`)\n"
        );
    }
}
