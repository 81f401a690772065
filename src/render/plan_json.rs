//! The plan for programs: one document, `eks-bootstrap/plan/v1`. Pure.

use serde_json::{Value, json};

use crate::plan::Plan;

/// Name and version of the form.
pub const SCHEMA: &str = "eks-bootstrap/plan/v1";

/// The document.
pub fn of(plan: &Plan) -> Value {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| {
            let assessment = &step.assessment;
            let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
            let fields: Vec<_> = assessment.changes.iter().flat_map(|change| &change.fields).collect();
            json!({
                "id": step.id,
                "needs": step.needs,
                "after": step.after,
                "action": assessment.action,
                "reason": assessment.reason,
                "owner": assessment.owner.as_ref().map(ToString::to_string),
                "mend": assessment.mend,
                "partlyRead": assessment.partly_read,
                "denied": assessment.denied,
                "heldBy": step.held_by,
                "resource": step.resource,
                "fields": fields,
                "calls": calls,
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "goal": plan.goal,
        "target": plan.target,
        "fingerprint": plan.fingerprint(),
        "summary": plan.counts(),
        "steps": steps,
        "diagnostics": plan.diagnostics,
    })
}
