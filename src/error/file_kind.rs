//! The files that a user names, as messages call them, and what helps where one cannot be used.

use std::fmt;

/// What a file of the user's is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// What is wanted: `-f`.
    Configuration,
    /// The way to the cluster: `--kubeconfig`.
    Kubeconfig,
    /// A plan that was saved with `plan --out`.
    Plan,
    /// The world that a sandbox begins with.
    Seed,
}

impl FileKind {
    /// What helps.
    pub(crate) fn fix(self) -> &'static str {
        match self {
            FileKind::Configuration => {
                "`eks-bootstrap config init` prints a file to start from, and every field has a flag too \
                 (`eks-bootstrap plan --help`)"
            }
            FileKind::Kubeconfig => {
                "`aws eks update-kubeconfig --name CLUSTER` writes one; without --kubeconfig none is needed"
            }
            FileKind::Plan => "save one with `eks-bootstrap plan --out FILE`",
            FileKind::Seed => {
                "start from templates/sandbox/seed.yaml of the repository; without --seed that one is taken"
            }
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Configuration => "configuration file",
            FileKind::Kubeconfig => "kubeconfig",
            FileKind::Plan => "saved plan",
            FileKind::Seed => "seed",
        })
    }
}
