//! The plan as a commented shell script of aws, kubectl and helm. Pure; derived from the same ops that `apply` runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::escape::line;
use crate::op::Op;
use crate::op::shell::{Supply, quote, required};
use crate::plan::Plan;

/// The script.
pub fn of(plan: &Plan) -> String {
    let target = &plan.target;
    let mut text = format!(
        "#!/bin/sh\n# What `eks-bootstrap apply` would do to cluster {} ({}, {}).\nset -eu\nexport AWS_REGION={}\n",
        line(&target.cluster),
        line(&target.account),
        line(&target.region),
        quote(&target.region)
    );
    let ops = plan.steps.iter().flat_map(|step| &step.assessment.changes).map(|change| &change.op);
    let supplies: BTreeSet<_> = ops.filter_map(Op::supply).collect();
    if !supplies.is_empty() {
        text.push_str("\n# Secrets are not printed, so nothing runs before the files that hold them are named.\n");
    }
    for Supply { variable, what } in &supplies {
        let _ = writeln!(text, "# {variable} has to name {}\n: {}", line(what), required(variable));
    }
    for step in &plan.steps {
        let assessment = &step.assessment;
        let _ =
            writeln!(text, "\n# {} {}: {}", assessment.action.sign(), line(step.id.as_str()), line(&assessment.reason));
        for change in &assessment.changes {
            let _ = writeln!(text, "{}", change.op.command());
        }
    }
    text
}
