//! The plan as a commented shell script of aws, kubectl and helm. Pure; derived from the same ops that `apply` runs.

use std::fmt::Write as _;

use crate::escape::line;
use crate::op::shell::quote;
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
    for step in &plan.steps {
        let assessment = &step.assessment;
        let _ =
            writeln!(text, "\n# {} {}: {}", assessment.action.sign(), line(step.id.as_str()), line(&assessment.reason));
        for change in &assessment.changes {
            if let Some(supply) = change.op.supply() {
                let _ = writeln!(text, "# {}", line(&supply));
            }
            let _ = writeln!(text, "{}", change.op.command());
        }
    }
    text
}
