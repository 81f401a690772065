//! The flags of a command line said again, for commands that are printed to be run as they stand. Pure.

use std::path::PathBuf;

use super::{PolicyFlags, Sources, Wanted};
use crate::config_file::ManagedBy;

/// One flag of a command line: its name and, where it takes one, its value.
type Flag = (&'static str, Option<String>);

impl Wanted {
    /// What was said of the wanted state. Every field is named here, so that a new one cannot be forgotten.
    fn said(&self) -> Vec<Flag> {
        let Wanted {
            account,
            enable,
            disable,
            component_files,
            lbc_version,
            ebs_version,
            metrics_server_version,
            lbc_role_arn,
            ebs_role_arn,
            ebs_managed_by,
            ebs_addon_version,
            attach_node_role,
            node_role,
            identity,
            policies: PolicyFlags { lbc_policy, lbc_policy_arn, ebs_policy, ebs_policy_arn, kms_keys },
            iam_path,
            name_prefix,
            permissions_boundary,
            tags,
            ignore_drift,
            sources: Sources { chart_repositories, chart_digests, image_registry, isolated },
        } = self;
        let manager = ebs_managed_by.map(|manager| match manager {
            ManagedBy::Helm => "helm".to_owned(),
            ManagedBy::EksAddon => "eks-addon".to_owned(),
        });
        let single = [
            ("--account", account),
            ("--lbc-version", lbc_version),
            ("--ebs-version", ebs_version),
            ("--metrics-server-version", metrics_server_version),
            ("--lbc-role-arn", lbc_role_arn),
            ("--ebs-role-arn", ebs_role_arn),
            ("--ebs-managed-by", &manager),
            ("--ebs-addon-version", ebs_addon_version),
            ("--lbc-policy", lbc_policy),
            ("--lbc-policy-arn", lbc_policy_arn),
            ("--ebs-policy", ebs_policy),
            ("--ebs-policy-arn", ebs_policy_arn),
            ("--iam-path", iam_path),
            ("--name-prefix", name_prefix),
            ("--permissions-boundary", permissions_boundary),
            ("--image-registry", image_registry),
        ];
        let repeated = [
            ("--enable", enable),
            ("--disable", disable),
            ("--node-role", node_role),
            ("--identity", identity),
            ("--kms-key", kms_keys),
            ("--tag", tags),
            ("--ignore-drift", ignore_drift),
            ("--chart-repository", chart_repositories),
            ("--chart-digest", chart_digests),
        ];
        let files = component_files.iter().map(|file| ("--component-file", Some(file.display().to_string())));
        let switches = [("--attach-node-role", *attach_node_role), ("--isolated", *isolated)];
        let single = single.into_iter().filter(|(_, value)| value.is_some()).map(|(name, value)| (name, value.clone()));
        let repeated =
            repeated.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, Some(value.clone()))));
        let switches = switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name, None));
        single.chain(repeated).chain(files).chain(switches).collect()
    }

    /// A printed command of ours with everything that was said of the wanted state, since without it the command would reach
    /// for another one. What the command says itself stays; other commands stay as they are.
    pub fn repeated_in(&self, files: &[PathBuf], commands: &str) -> String {
        let files = files.iter().map(|file| file.display().to_string()).filter(|file| file != "-");
        let said: Vec<Flag> = self.said().into_iter().chain(files.map(|file| ("-f", Some(file)))).collect();
        let complete = |command: &str| {
            if !["eks-bootstrap apply", "eks-bootstrap verify"].iter().any(|ours| command.starts_with(ours)) {
                return command.to_owned();
            }
            let words: Vec<_> = command.split(' ').collect();
            let missing = said.iter().filter(|(name, value)| {
                let more = ["--enable", "--disable"].contains(name);
                !words.windows(2).any(|pair| pair[0] == *name && (!more || Some(pair[1]) == value.as_deref()))
            });
            missing.fold(command.to_owned(), |command, (name, value)| match value {
                Some(value) => format!("{command} {name} {}", quoted(value)),
                None => format!("{command} {name}"),
            })
        };
        commands.split(" && ").map(complete).collect::<Vec<_>>().join(" && ")
    }
}

/// A value as a shell takes it for one word.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_said_again_and_once() {
        let wanted = Wanted {
            ebs_managed_by: Some(ManagedBy::EksAddon),
            enable: vec!["metrics-server".to_owned()],
            identity: vec!["pod-identity".to_owned()],
            tags: vec!["team=a b".to_owned()],
            attach_node_role: true,
            ..Wanted::default()
        };
        let complete = |command: &str| wanted.repeated_in(&[PathBuf::from("a.yaml"), PathBuf::from("-")], command);
        assert_eq!(
            complete("eks-bootstrap apply --only iam.role.lbc"),
            "eks-bootstrap apply --only iam.role.lbc --ebs-managed-by eks-addon --enable metrics-server --identity \
             pod-identity --tag 'team=a b' --attach-node-role -f a.yaml"
        );
        let own = complete("eks-bootstrap apply --enable gp3-storage-class --identity lbc=pod-identity");
        assert!(own.contains("--enable gp3-storage-class") && own.contains("--enable metrics-server"), "{own}");
        assert_eq!(own.matches("--identity").count(), 1, "{own}");
        assert_eq!(complete("kubectl get pods"), "kubectl get pods");
        assert_eq!(Wanted::default().repeated_in(&[], "eks-bootstrap apply"), "eks-bootstrap apply");
    }
}
