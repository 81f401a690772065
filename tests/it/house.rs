//! Rules of the house that no compiler knows: no file grows beyond one room, nothing unfinished is left behind, and nothing
//! outside `render/` and `main.rs` prints.

use std::path::{Path, PathBuf};

/// Where a file is cut in two. From about 350 lines on a reviewer asks whether it is still one room; a cut for the number's sake
/// makes two worse ones.
const LONGEST: usize = 500;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(sources(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            files.push(entry.path());
        }
    }
    files
}

#[test]
fn no_source_file_is_too_long_or_unfinished() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let unfinished = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "unimpl".to_owned() + "emented!"];
    for file in sources(&root) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let tests_only = name.ends_with("tests.rs");
        assert!(tests_only || text.lines().count() <= LONGEST, "{name} has {} lines", text.lines().count());
        assert!(text.starts_with("//!") || tests_only, "{name} does not say what it is for");
        for word in &unfinished {
            assert!(!text.contains(word.as_str()), "{name} holds {word}");
        }
        let may_print = name.starts_with("render") || name == "main.rs";
        assert!(may_print || !text.contains("indicatif::"), "{name} draws");
    }
}
