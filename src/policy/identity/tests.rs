//! Tables of decisions.

use serde_json::{Value, json};

use super::*;

const ROLE: &str = "arn:aws:iam::111122223333:role/team/lbc";

fn document(statements: &Value) -> Document {
    Document::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap()
}

fn context(pairs: &[(&str, &[&str])]) -> Context {
    let mut context = Context::new();
    for (key, values) in pairs {
        context.add(key, values.iter().copied());
    }
    context
}

fn decide(statements: &Value, action: &str, resource: &str, context: &Context) -> AccessDecision {
    evaluate(&[&document(statements)], None, AccessRequest { action, resource, context }).unwrap().decision
}

fn allowed(statement: &Value, action: &str, resource: &str, context: &Context) -> bool {
    decide(&json!([statement]), action, resource, context) == AccessDecision::Allowed
}

#[test]
fn actions_and_resources() {
    let table = [
        (json!({"Action": "iam:GetRole", "Resource": "*"}), true),
        (json!({"Action": "IAM:getrole", "Resource": ROLE}), true),
        (json!({"Action": ["iam:Create*", "iam:G?tRole"], "Resource": "arn:aws:iam::*:role/team/*"}), true),
        (json!({"Action": "iam:GetRol", "Resource": "*"}), false),
        (json!({"Action": "iam:GetRole", "Resource": "arn:aws:iam::111122223333:role/TEAM/lbc"}), false),
        (json!({"Action": "iam:GetRole", "Resource": "arn:aws-cn:iam::111122223333:role/team/lbc"}), false),
        (json!({"NotAction": "iam:Delete*", "Resource": "*"}), true),
        (json!({"NotAction": "iam:Get*", "Resource": "*"}), false),
        (json!({"Action": "*", "NotResource": "arn:aws:iam::111122223333:role/other"}), true),
        (json!({"Action": "*", "NotResource": ROLE}), false),
    ];
    for (mut statement, expected) in table {
        statement["Effect"] = json!("Allow");
        assert_eq!(allowed(&statement, "iam:GetRole", ROLE, &Context::new()), expected, "{statement}");
        statement["Effect"] = json!("Deny");
        let both = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, statement]);
        let decision = if expected { AccessDecision::ExplicitDeny } else { AccessDecision::Allowed };
        assert_eq!(decide(&both, "iam:GetRole", ROLE, &Context::new()), decision, "{statement}");
    }
}

#[test]
fn conditions() {
    let policy = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";
    let known = context(&[
        ("iam:PolicyARN", &[policy]),
        ("aws:RequestTag/elbv2.k8s.aws/cluster", &["demo"]),
        ("aws:TagKeys", &["a", "b"]),
        ("aws:SecureTransport", &["true"]),
    ]);
    let table = [
        (json!({"StringEquals": {"IAM:policyarn": policy}}), true),
        (json!({"ArnEquals": {"iam:PolicyARN": ["arn:aws:iam::aws:policy/x", policy]}}), true),
        (json!({"ArnLike": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonEBS*"}}), true),
        (json!({"ArnNotLike": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonEBS*"}}), false),
        (json!({"StringLike": {"aws:RequestTag/elbv2.k8s.aws/cluster": "d?mo"}}), true),
        (json!({"Null": {"aws:RequestTag/elbv2.k8s.aws/cluster": "false", "aws:ResourceTag/x": true}}), true),
        (json!({"Null": {"aws:RequestTag/elbv2.k8s.aws/cluster": "true"}}), false),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}), true),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}), false),
        (json!({"ForAnyValue:StringLike": {"aws:TagKeys": "b*"}}), true),
        (json!({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["c"]}}), true),
        (json!({"Bool": {"aws:SecureTransport": true}}), true),
        (json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}), true),
        (json!({"StringEquals": {"aws:ResourceTag/x": "y"}}), false),
        (json!({"StringEqualsIfExists": {"aws:ResourceTag/x": "y"}}), true),
        (json!({"StringEquals": {"iam:PolicyARN": policy}, "Bool": {"aws:SecureTransport": "false"}}), false),
    ];
    for (condition, expected) in table {
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition});
        assert_eq!(allowed(&statement, "iam:AttachRolePolicy", ROLE, &known), expected, "{condition}");
    }
}

#[test]
fn variables_take_the_values_of_the_context() {
    let of_cluster = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${aws:PrincipalTag/team}/*",
        "Condition": {"StringEquals": {"aws:RequestTag/c": ["x", "${aws:PrincipalTag/c, 'none'}"]}}});
    let key = "arn:aws:s3:::net/a";
    let known = |tags: &[(&str, &[&str])]| context(&[tags, &[("aws:PrincipalTag/team", &["net"])]].concat());
    let table = [
        (known(&[("aws:PrincipalTag/c", &["demo"]), ("aws:RequestTag/c", &["demo"])]), true),
        (known(&[("aws:PrincipalTag/c", &["demo"]), ("aws:RequestTag/c", &["other"])]), false),
        (known(&[("aws:RequestTag/c", &["none"])]), true),
        (context(&[("aws:RequestTag/c", &["x"])]), false),
    ];
    for (context, expected) in table {
        assert_eq!(allowed(&of_cluster, "s3:GetObject", key, &context), expected, "{context:?}");
    }
    let literal =
        json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringLike": {"k": "${*}"}}});
    let request = AccessRequest { action: "a:B", resource: "*", context: &Context::new() };
    let error = evaluate(&[&document(&json!([literal]))], None, request).unwrap_err();
    assert!(error.to_string().contains("`Statement[0].Condition` has the policy variable in `${*}`"), "{error}");
}

#[test]
fn a_boundary_only_takes_away() {
    let all = document(&json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let reads = document(&json!([{"Effect": "Allow", "Action": "iam:Get*", "Resource": "*"}]));
    let no_reads = document(&json!([{"Effect": "Deny", "Action": "iam:Get*", "Resource": "*"}]));
    let empty = document(&json!([]));
    let at = |identity: &[&Document], boundary: &Document, action| {
        let access =
            evaluate(identity, Some(boundary), AccessRequest { action, resource: ROLE, context: &Context::new() });
        let access = access.unwrap();
        (access.decision, access.within_boundary.unwrap())
    };
    assert_eq!(at(&[&all], &reads, "iam:GetRole"), (AccessDecision::Allowed, true));
    assert_eq!(at(&[&all], &reads, "iam:CreateRole"), (AccessDecision::ImplicitDeny, false));
    assert_eq!(at(&[&empty], &all, "iam:GetRole"), (AccessDecision::ImplicitDeny, true));
    assert_eq!(at(&[&all], &no_reads, "iam:GetRole"), (AccessDecision::ExplicitDeny, false));
    assert_eq!(at(&[&all, &no_reads], &all, "iam:GetRole"), (AccessDecision::ExplicitDeny, true));
}

#[test]
fn what_decides_and_what_is_missing_is_named() {
    let first = document(&json!([{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]));
    let second = document(&json!([
        {"Effect": "Allow", "Action": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
        {"Effect": "Deny", "Action": "ec2:CreateVolume", "Resource": "*"},
    ]));
    let ask = |action| {
        let request = AccessRequest { action, resource: "*", context: &Context::new() };
        evaluate(&[&first, &second], None, request).unwrap()
    };
    let tags = ask("ec2:CreateTags");
    assert_eq!(tags.matched, [Matched { policy: 0, statement: 0 }]);
    assert_eq!(tags.missing.into_iter().collect::<Vec<_>>(), ["ec2:CreateAction"]);
    assert_eq!(ask("ec2:CreateVolume").matched, [Matched { policy: 1, statement: 2 }]);
    assert_eq!(ask("s3:GetObject").matched, []);
}

#[test]
fn an_unknown_operator_is_refused_where_it_would_count() {
    let timed = json!([{"Effect": "Allow", "Action": "iam:GetRole", "Resource": "*",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}}]);
    let ask = |action| {
        let context = Context::new();
        evaluate(&[&document(&timed)], None, AccessRequest { action, resource: ROLE, context: &context })
    };
    let error = ask("iam:GetRole").unwrap_err();
    assert_eq!(error.to_string(), "`Statement[0].Condition` has the operator `DateLessThan`, which is not evaluated");
    assert_eq!(ask("iam:ListRoles").unwrap().decision, AccessDecision::ImplicitDeny);
}
