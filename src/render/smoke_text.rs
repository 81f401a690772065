//! A smoke run for people: what it will make, and one line for each thing that happens. Pure.

use std::fmt::Write as _;

use crate::escape::line;
use crate::owner::MANAGED_BY_LABEL;
use crate::read::kube::ObjectRef;
use crate::render::style::Styles;
use crate::smoke::{Ended, Part, Plan, Progress};

/// What a run makes here, in the cluster and in AWS; the command asks after it.
pub fn consent(plan: &Plan, cluster: &str, styles: Styles) -> String {
    let limit = match plan.options.timeout.as_secs() {
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    };
    let mut text = format!(
        "verify --deep makes these objects in {} for at most {limit} and removes them again:\n",
        styles.bold(&line(cluster))
    );
    for (_, object) in &plan.objects {
        let _ = writeln!(text, "  {}", line(&ObjectRef::of(object).to_string()));
    }
    let mut in_aws = Vec::new();
    if plan.makes(Part::Ingress) {
        let scheme = plan.options.scheme.as_str();
        in_aws.push(format!("an {scheme} Application Load Balancer that listens on port 80"));
    }
    if plan.makes(Part::StatefulSet) {
        in_aws.push("a gp3 volume of 1 GiB".to_owned());
    }
    if !in_aws.is_empty() {
        let _ = writeln!(text, "For them the controllers make in AWS: {}.", in_aws.join(", "));
    }
    let _ = writeln!(text, "Every container runs {}.", line(&plan.options.image));
    if !plan.left_over.is_empty() {
        let names = plan.left_over.names().join(", ");
        let _ = writeln!(text, "Left over from an earlier run, and removed first: {}", line(&names));
    }
    text.push_str(&styles.dim(&format!("All of them carry the label {MANAGED_BY_LABEL}=eks-bootstrap.")));
    text.push('\n');
    text
}

/// One line for what happens.
pub fn progress(progress: &Progress, styles: Styles) -> String {
    match progress {
        Progress::RemovingLeftOvers => "smoke  removing what an earlier run left over\n".to_owned(),
        Progress::Making { objects } => format!("smoke  making {objects} objects\n"),
        Progress::Ended(result) => {
            let (word, what) = match &result.ended {
                Ended::Ok(seen) => (styles.good("ok     "), seen),
                Ended::Failed { cause, .. } => (styles.bad("failed "), cause),
                Ended::Skipped { reason } => (styles.dim("skipped"), reason),
            };
            format!("smoke  {:25} {word} {:>6}  {}\n", result.aspect.title(), seconds(result.seconds), line(what))
        }
        Progress::Waiting { aspect, cause, seconds: waited } => {
            format!("smoke  {:25} waiting {:>6}  {}\n", aspect.title(), seconds(*waited), line(cause))
        }
        Progress::Removing { left } if left.is_empty() => "smoke  removing everything that was made\n".to_owned(),
        Progress::Removing { left } => format!("smoke  still there: {}\n", line(&left.join(", "))),
    }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{Aspect, SmokeResult};

    #[test]
    fn each_line_names_the_aspect_and_what_was_seen() {
        let plain = Styles { on: false };
        let waiting =
            Progress::Waiting { aspect: Aspect::Address, cause: "FailedDeployModel: no".into(), seconds: 2.0 };
        assert_eq!(
            progress(&waiting, plain),
            "smoke  load balancer address     waiting  2.0 s  FailedDeployModel: no\n"
        );
        let failed = Ended::Failed { cause: "why".into(), mend: "mend".into() };
        let ended = Progress::Ended(SmokeResult { aspect: Aspect::Volume, ended: failed, seconds: 61.25 });
        assert_eq!(progress(&ended, plain), "smoke  volume                    failed  61.2 s  why\n");
    }
}
