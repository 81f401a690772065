//! Tables and properties over the whole module.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF";
const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF";
const ACCOUNT: &str = "aws-load-balancer-controller";

fn document(value: &Value) -> Document {
    Document::parse(&value.to_string()).expect("document parses")
}

fn permissions(statements: &Value) -> Document {
    document(&json!({"Version": "2012-10-17", "Statement": statements}))
}

fn wanted() -> Statement {
    irsa_statement(PROVIDER, ISSUER, "kube-system", ACCOUNT)
}

fn request() -> TrustRequest {
    TrustRequest {
        provider_arn: PROVIDER.into(),
        issuer: format!("https://{ISSUER}"),
        audience: AUDIENCE.into(),
        subject: subject("kube-system", ACCOUNT),
    }
}

/// A trust document with one web-identity statement under the given condition.
fn trust(condition: &Value) -> Document {
    permissions(
        &json!([{"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": WEB_IDENTITY_ACTION, "Condition": condition}]),
    )
}

fn shown(document: &Document) -> Vec<String> {
    evaluate_trust(document, &request()).clauses().iter().map(ToString::to_string).collect()
}

fn differences(before: &Value, after: &Value) -> Vec<String> {
    diff(&permissions(before), &permissions(after)).iter().map(ToString::to_string).collect()
}

#[test]
fn spellings_of_one_meaning() {
    let one = permissions(&json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}));
    let other = permissions(&json!([
        {"Sid": "B", "Resource": ["*"], "Action": ["S3:getobject", "s3:GetObject"], "Effect": "Allow", "Condition": {}},
        {"Sid": "A", "Resource": ["*"], "Action": ["s3:GetObject"], "Effect": "Allow"},
    ]));
    assert_eq!(one.canonical(), other.canonical());
    assert!(same_meaning(&one, &other));
    assert_eq!(
        one.canonical(),
        r#"{"Statement":[{"Action":["s3:getobject"],"Effect":"Allow","Resource":["*"]}],"Version":"2012-10-17"}"#
    );
}

#[test]
fn regrouped_statements_mean_the_same_and_changed_ones_do_not() {
    let base = json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": true}}}]);
    let same = json!([
        {"Effect": "Allow", "Action": "a:X", "Resource": ["r2", "r1"], "Condition": {"Bool": {"K": "true"}}},
        {"Effect": "Allow", "Action": "a:Y", "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": ["true"]}}},
    ]);
    assert!(same_meaning(&permissions(&base), &permissions(&same)));
    let others = [
        json!([{"Effect": "Deny", "Action": ["a:X", "a:Y"], "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": true}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X"], "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": true}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1"], "Condition": {"Bool": {"k": true}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1", "R2"], "Condition": {"Bool": {"k": true}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": false}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1", "r2"]}]),
        json!([{"Effect": "Allow", "NotAction": ["a:X", "a:Y"], "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": true}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "NotResource": ["r1", "r2"], "Condition": {"Bool": {"k": true}}}]),
        json!([{"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1", "r2"], "Condition": {"Bool": {"k": true}}, "New": 1}]),
    ];
    for other in &others {
        assert!(!same_meaning(&permissions(&base), &permissions(other)), "{other}");
        assert_ne!(permissions(&base).canonical(), permissions(other).canonical(), "{other}");
        assert!(!differences(&base, other).is_empty(), "{other}");
    }
    let older = document(&json!({"Statement": base}));
    assert_eq!(
        diff(&older, &permissions(&base)),
        [PolicyDifference {
            path: "Version".into(),
            before: Some("2008-10-17".into()),
            after: Some("2012-10-17".into()),
        }]
    );
}

#[test]
fn what_iam_returns_is_read() {
    let text = irsa_document(PROVIDER, ISSUER, "kube-system", ACCOUNT).to_json();
    let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
    assert_eq!(Document::from_url_encoded(&encoded), Document::parse(&text));
    assert_eq!(Document::from_url_encoded(&text), Document::parse(&text));
    assert_eq!(Document::from_url_encoded("%ff"), Err(PolicyError::NotUrlEncoded));
}

#[test]
fn faults_are_named_with_their_place() {
    let allow = r#""Effect":"Allow","Action":"a:B","Resource":"*""#;
    let table = [
        ("{\n \"Statement\": [,]}", "policy document is not JSON: expected value (line 2, column 16)"),
        ("[]", "`the document` must be an object, found an empty list"),
        ("{}", "`Statement` is missing"),
        (
            r#"{"Version":"2020-01-01","Statement":[]}"#,
            "`Version` must be `2012-10-17` or `2008-10-17`, found `2020-01-01`",
        ),
        (r#"{"Statement":["x"]}"#, "`Statement[0]` must be an object, found `x`"),
        (r#"{"Statement":[{"Action":"a:B"}]}"#, "`Statement[0].Effect` is missing"),
        (r#"{"Statement":[{"Effect":"allow"}]}"#, "`Statement[0].Effect` must be `Allow` or `Deny`, found `allow`"),
        (r#"{"Statement":[{"Effect":"Allow"}]}"#, "`Statement[0].Action` is missing"),
        (
            r#"{"Statement":{"Effect":"Allow","Action":[1]}}"#,
            "`Statement[0].Action` must be a string or a list of strings, found `1`",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":[]}}"#,
            "`Statement[0].Action` must be a string or a list of strings, found an empty list",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"a","NotAction":"b"}]}"#,
            "`Statement[0]` has both `Action` and `NotAction`",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"a","Principal":"me"}]}"#,
            "`Statement[0].Principal` must be `*` or an object of principals, found `me`",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"a","Condition":{"Null":{"k":null}}}]}"#,
            "`Statement[0].Condition.Null.k` must be a string or a list of strings, found `null`",
        ),
        (
            r#"{"Statement":[{"Effect":"Allow","Action":"a","Condition":{"Null":{"k":"1","K":"1"}}}]}"#,
            "`Statement[0].Condition.Null` must be an object with each key once, whatever its case, found `k`",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(Document::parse(text).expect_err(text).to_string(), expected, "{text}");
    }
    let table = [
        (Kind::Permissions, format!("{{{allow}}}"), None),
        (Kind::Trust, r#"{"Effect":"Allow","Action":"a:B","Principal":"*"}"#.into(), None),
        (Kind::Permissions, r#"{"Effect":"Allow","Action":"a:B"}"#.into(), Some("`Statement[0].Resource` is missing")),
        (
            Kind::Permissions,
            format!(r#"{{{allow},"Principal":"*"}}"#),
            Some("`Statement[0].Principal` is not allowed in a managed policy"),
        ),
        (
            Kind::Permissions,
            format!(r#"{{{allow},"Extra":1}}"#),
            Some("`Statement[0].Extra` is not allowed in a managed policy"),
        ),
        (
            Kind::Permissions,
            format!(r#"{{{allow},"Sid":"a-b"}}"#),
            Some("`Statement[0].Sid` must be letters and digits only, found `a-b`"),
        ),
        (
            Kind::Permissions,
            format!(r#"{{{allow},"Sid":"a"}},{{{allow},"Sid":"a"}}"#),
            Some("`Statement[1].Sid` repeats the Sid `a`"),
        ),
        (Kind::Trust, format!("{{{allow}}}"), Some("`Statement[0].Resource` is not allowed in a trust policy")),
        (Kind::Trust, r#"{"Effect":"Allow","Action":"a:B"}"#.into(), Some("`Statement[0].Principal` is missing")),
    ];
    for (kind, statements, expected) in table {
        let document = Document::parse(&format!(r#"{{"Statement":[{statements}]}}"#)).expect("parses");
        assert_eq!(document.validate(kind).err().map(|error| error.to_string()).as_deref(), expected, "{statements}");
    }
}

#[test]
fn size_is_counted_without_whitespace_up_to_the_limit() {
    assert_eq!(counted_len("{ \"a b\" :\n\t\"c\\\" d\" }"), r#"{"a b":"c\" d"}"#.len());
    assert_eq!(counted_len("\"é\""), 3);
    let of_length =
        |padding: usize| permissions(&json!([{"Effect": "Allow", "Action": "a:B", "Resource": "x".repeat(padding)}]));
    let empty = of_length(0).minified_len();
    assert_eq!(of_length(MANAGED_POLICY_LIMIT - empty).validate(Kind::Permissions), Ok(()));
    let error = of_length(MANAGED_POLICY_LIMIT - empty + 1).validate(Kind::Permissions);
    assert_eq!(error, Err(PolicyError::TooLong { kind: Kind::Permissions, len: 6_145, limit: 6_144 }));
    let pretty = of_length(MANAGED_POLICY_LIMIT - empty).to_pretty_json();
    assert_eq!(counted_len(&pretty), MANAGED_POLICY_LIMIT);
}

#[test]
fn a_difference_is_one_line_at_its_statement() {
    let filler = json!({"Effect": "Allow", "Action": "a:Filler", "Resource": "*"});
    let cluster = json!({"Null": {"aws:ResourceTag/c": "false"}});
    let statement = |actions: &Value, resources: &Value| json!({"Effect": "Allow", "Action": actions, "Resource": resources, "Condition": cluster});
    let before = json!([filler, statement(&json!(["e:Set", "e:Old"]), &json!("*"))]);
    let after = json!([filler, statement(&json!(["e:Set", "e:ModifyIpPools"]), &json!("*"))]);
    assert_eq!(
        differences(&before, &after),
        ["Statement[1].Action  - e:Old", "Statement[1].Action  + e:ModifyIpPools"]
    );
    let after = json!([statement(&json!(["e:Set", "e:Old", "e:ModifyIpPools"]), &json!("*")), filler]);
    assert_eq!(differences(&before, &after), ["Statement[0].Action  + e:ModifyIpPools"]);
    assert_eq!(differences(&after, &before), ["Statement[1].Action  - e:ModifyIpPools"]);
    assert_eq!(action_counts(&permissions(&before), &permissions(&after)).to_string(), "+1 action, -0");
    assert_eq!(action_counts(&permissions(&after), &permissions(&before)).to_string(), "+0 actions, -1");

    let after = json!([filler, statement(&json!(["e:Set", "e:Old"]), &json!(["*", "arn:x"]))]);
    assert_eq!(differences(&before, &after), ["Statement[1].Resource  + arn:x"]);
    assert_eq!(
        differences(&before, &json!([filler])),
        ["Statement[1]  - Allow e:Old, e:Set on * if aws:ResourceTag/c Null false"]
    );
    let after = json!([filler, {"Effect": "Allow", "Action": ["e:Old", "e:Set"], "Resource": "*", "Condition": {"Null": {"aws:ResourceTag/c": "true"}}}]);
    assert_eq!(differences(&before, &after), ["Statement[1].Condition.Null.aws:resourcetag/c  false -> true"]);
    let after =
        json!([filler, {"Effect": "Deny", "Action": ["e:Old", "e:Set"], "Resource": "*", "Condition": cluster}]);
    assert_eq!(differences(&before, &after), ["Statement[1].Effect  Allow -> Deny"]);
    let after = json!([filler, statement(&json!("e:Set"), &json!("*")), statement(&json!("e:Old"), &json!("arn:x"))]);
    assert_eq!(
        differences(&before, &after),
        ["Statement[1].Action  - e:Old", "Statement[2]  + Allow e:Old on arn:x if aws:ResourceTag/c Null false",]
    );
}

#[test]
fn an_edited_trust_statement_shows_the_claim() {
    let edited = permissions(
        &json!([{"Sid": SID, "Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": WEB_IDENTITY_ACTION,
        "Condition": {"StringEquals": {format!("{ISSUER}:aud"): AUDIENCE, format!("{ISSUER}:sub"): "system:serviceaccount:kube-system:aws-lb"}}}]),
    );
    let shown: Vec<String> = diff(&edited, &merge_trust(&edited, &wanted())).iter().map(ToString::to_string).collect();
    let key = ISSUER.to_lowercase();
    assert_eq!(
        shown,
        [format!(
            "Statement[0].Condition.StringEquals.{key}:sub  system:serviceaccount:kube-system:aws-lb -> system:serviceaccount:kube-system:{ACCOUNT}"
        )]
    );
}

#[test]
fn the_wanted_trust_is_what_iam_takes_and_what_lets_in() {
    let trust = irsa_document(PROVIDER, &format!("https://{ISSUER}"), "kube-system", ACCOUNT);
    assert_eq!(trust.validate(Kind::Trust), Ok(()));
    assert_eq!(
        trust.to_json(),
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"EksBootstrapIrsa","Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"{ISSUER}:aud":"sts.amazonaws.com","{ISSUER}:sub":"system:serviceaccount:kube-system:aws-load-balancer-controller"}}}}}}]}}"#
        )
    );
    let verdict = evaluate_trust(&trust, &request());
    assert_eq!((verdict.decision, verdict.broad), (Decision::Allowed { statement: 0 }, vec![]));
    for changed in [
        TrustRequest { subject: subject("default", ACCOUNT), ..request() },
        TrustRequest { audience: "vault".into(), ..request() },
        TrustRequest { issuer: "oidc.eks.eu-west-1.amazonaws.com/id/FFFF".into(), ..request() },
        TrustRequest { provider_arn: "arn:aws:iam::111122223333:oidc-provider/other".into(), ..request() },
    ] {
        assert!(
            !evaluate_trust(&irsa_document(PROVIDER, ISSUER, "kube-system", ACCOUNT), &changed).allowed(),
            "{changed:?}"
        );
    }
}

#[test]
fn refusals_name_the_clause() {
    let (aud, sub) = (format!("{ISSUER}:aud"), format!("{ISSUER}:sub"));
    let good = format!("system:serviceaccount:kube-system:{ACCOUNT}");
    let other = "oidc.eks.eu-west-1.amazonaws.com/id/FFFF";
    let table = [
        (
            json!({"StringEquals": {&aud: AUDIENCE, &sub: "system:serviceaccount:kube-system:aws-lb"}}),
            vec![format!("sub is `system:serviceaccount:kube-system:aws-lb`, expected `{good}`")],
        ),
        (json!({"StringEquals": {&aud: "sts.amazonaws.com.cn", &sub: &good}}), vec!["aud is `sts.amazonaws.com.cn`, expected `sts.amazonaws.com`".into()]),
        (
            json!({"StringEquals": {&aud: AUDIENCE, format!("oidc-provider/{sub}"): &good}}),
            vec![format!("condition key `oidc-provider/{sub}` has a prefix, expected `{sub}`")],
        ),
        (
            json!({"StringEquals": {format!("{PROVIDER}:sub"): &good}}),
            vec![format!("condition key `{PROVIDER}:sub` has a prefix, expected `{sub}`")],
        ),
        (
            json!({"StringEquals": {format!("https://{sub}"): &good}}),
            vec![format!("condition key `https://{sub}` has a prefix, expected `{sub}`")],
        ),
        (
            json!({"StringEquals": {format!("{other}:sub"): &good}}),
            vec![format!("condition key `{other}:sub` is of another issuer, expected a condition key of {ISSUER}")],
        ),
        (
            json!({"StringEquals": {&sub: "system:serviceaccount:kube-system:*"}}),
            vec![format!("`StringEquals system:serviceaccount:kube-system:*` takes the wildcard literally, expected `{good}`")],
        ),
        (
            json!({"StringMatches": {&sub: &good}}),
            vec![format!("operator `StringMatches` on `{sub}` is not understood, expected an operator on strings, such as StringEquals")],
        ),
        (
            json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringEquals": {&sub: &good}}),
            vec!["operator `IpAddress` on `aws:SourceIp` is not understood, expected an operator on strings, such as StringEquals".into()],
        ),
        (
            json!({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}),
            vec![format!("condition depends on `aws:RequestedRegion`, which a token does not tell, expected conditions on {aud} and {sub} only")],
        ),
        (
            json!({"StringNotEquals": {&sub: &good}}),
            vec![format!("condition `StringNotEquals {good}` refuses, expected a condition that `{good}` meets")],
        ),
        (
            json!({"StringEquals": {&sub: "system:serviceaccount:${aws:x}"}}),
            vec![format!("policy variable in `system:serviceaccount:${{aws:x}}` is not understood, expected {good}")],
        ),
    ];
    for (condition, expected) in table {
        assert_eq!(shown(&trust(&condition)), expected, "{condition}");
    }
    let statement = |principal: Value, action: &str| {
        permissions(&json!([{"Effect": "Allow", "Principal": principal, "Action": action}]))
    };
    assert_eq!(
        shown(&statement(json!({"Service": "ec2.amazonaws.com"}), "sts:AssumeRole")),
        [
            format!("principal is a service (`ec2.amazonaws.com`), not the OIDC provider `{PROVIDER}`"),
            "action is `sts:AssumeRole`, expected `sts:AssumeRoleWithWebIdentity`".into(),
        ]
    );
    assert_eq!(
        shown(&statement(
            json!({"Federated": format!("arn:aws:iam::111122223333:oidc-provider/{other}")}),
            WEB_IDENTITY_ACTION
        )),
        [format!(
            "principal is another OIDC provider, `arn:aws:iam::111122223333:oidc-provider/{other}`, expected `{PROVIDER}`"
        )]
    );
    assert_eq!(
        shown(&permissions(&json!([]))),
        [format!(
            "no statement that allows anything, expected a statement that allows {WEB_IDENTITY_ACTION} to {PROVIDER}"
        )]
    );
}

#[test]
fn the_nearest_statement_is_explained() {
    let mixed = permissions(&json!([
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": "sts:AssumeRoleWithWebIdentity",
         "Condition": {"StringEquals": {format!("{ISSUER}:sub"): "system:serviceaccount:default:x"}}},
    ]));
    let verdict = evaluate_trust(&mixed, &request());
    let kinds: Vec<_> = verdict.clauses().iter().map(|clause| (clause.statement, clause.kind)).collect();
    assert_eq!(kinds, [(Some(1), ClauseKind::Subject)]);
    assert_eq!(verdict.clauses()[0].observed, "system:serviceaccount:default:x");
}

#[test]
fn deny_wins() {
    let with = |deny: Value| {
        let mut document = irsa_document(PROVIDER, ISSUER, "kube-system", ACCOUNT);
        document.statements.extend(permissions(&json!([deny])).statements);
        evaluate_trust(&document, &request())
    };
    let sub = format!("{ISSUER}:sub");
    let denied = [
        json!({"Effect": "Deny", "Principal": "*", "Action": "sts:*"}),
        json!({"Effect": "Deny", "Principal": "*", "NotAction": "sts:TagSession"}),
        json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRoleWithWebIdentity"}),
        json!({"Effect": "Deny", "Principal": {"Federated": "*"}, "Action": "sts:*"}),
        json!({"Effect": "Deny", "Principal": {"Service": "ec2.amazonaws.com", "AWS": ["*"]}, "Action": "sts:*"}),
        json!({"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "Action": "sts:*"}),
        json!({"Effect": "Deny", "Principal": {"Federated": PROVIDER}, "Action": "*", "Condition": {"StringLike": {&sub: "*:kube-system:*"}}}),
        json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
    ];
    for deny in denied {
        let verdict = with(deny.clone());
        assert!(
            matches!(verdict.clauses(), [Clause { kind: ClauseKind::ExplicitDeny, statement: Some(1), .. }]),
            "{deny}: {verdict:?}"
        );
    }
    let harmless = [
        json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}),
        json!({"Effect": "Deny", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "*"}),
        json!({"Effect": "Deny", "NotPrincipal": {"Federated": PROVIDER}, "Action": "*"}),
        json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Condition": {"StringNotLike": {&sub: "*:kube-system:*"}}}),
    ];
    for deny in harmless {
        assert!(with(deny.clone()).allowed(), "{deny}");
    }
}

#[test]
fn broad_trust_is_found_although_it_lets_in() {
    let (aud, sub) = (format!("{ISSUER}:aud"), format!("{ISSUER}:sub"));
    let good = format!("system:serviceaccount:kube-system:{ACCOUNT}");
    let pattern = "system:serviceaccount:kube-system:*";
    let table = [
        (json!({}), vec![BroadTrust::NoSubject { statement: 0 }, BroadTrust::NoAudience { statement: 0 }]),
        (json!({"StringEquals": {&aud: AUDIENCE}}), vec![BroadTrust::NoSubject { statement: 0 }]),
        (json!({"StringEquals": {&sub: &good}}), vec![BroadTrust::NoAudience { statement: 0 }]),
        (
            json!({"StringEquals": {&aud: AUDIENCE}, "StringLike": {&sub: pattern}}),
            vec![BroadTrust::WildcardSubject { statement: 0, pattern: pattern.into() }],
        ),
        (json!({"StringEquals": {&aud: AUDIENCE, &sub: &good}, "StringLike": {&sub: pattern}}), vec![]),
        (
            json!({"StringEquals": {&aud: AUDIENCE}, "StringNotEquals": {&sub: "x"}}),
            vec![BroadTrust::NoSubject { statement: 0 }],
        ),
        (json!({"StringEquals": {&aud: AUDIENCE}, "StringLike": {&sub: &good}}), vec![]),
    ];
    for (condition, expected) in table {
        let verdict = evaluate_trust(&trust(&condition), &request());
        assert!(verdict.allowed(), "{condition}");
        assert_eq!(verdict.broad, expected, "{condition}");
    }
    let everyone = permissions(
        &json!([{"Effect": "Allow", "Principal": "*", "Action": "sts:*", "Condition": {"StringEquals": {&aud: AUDIENCE, &sub: &good}}}]),
    );
    assert_eq!(evaluate_trust(&everyone, &request()).broad, [BroadTrust::AnyPrincipal { statement: 0 }]);
}

#[test]
fn merging_keeps_what_is_foreign_and_replaces_what_is_ours() {
    let node = json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"});
    let mine = |sid: &str, provider: &str, account: &str| {
        json!({"Sid": sid, "Effect": "Allow", "Principal": {"Federated": provider}, "Action": [WEB_IDENTITY_ACTION],
            "Condition": {"StringEquals": {format!("{ISSUER}:aud"): [AUDIENCE], format!("{ISSUER}:sub"): subject("kube-system", account)}}})
    };
    let merged = |statements: &Value| {
        let existing = permissions(statements);
        (find_trust(&existing, &wanted()), merge_trust(&existing, &wanted()).statements)
    };
    let parsed = |statements: &Value| permissions(statements).statements;

    // Nothing of ours: appended.
    let (presence, statements) = merged(&json!([node]));
    assert_eq!(presence, TrustPresence::Absent);
    assert_eq!(statements, [parsed(&json!([node]))[0].clone(), wanted()]);
    // Ours is wrong: replaced in place.
    let (presence, statements) = merged(&json!([mine(SID, PROVIDER, "typo"), node]));
    assert_eq!(presence, TrustPresence::Outdated(0));
    assert_eq!(statements, [wanted(), parsed(&json!([node]))[0].clone()]);
    // A foreign one of another Sid that is wrong is not ours to change.
    let foreign = json!([mine("Other", PROVIDER, "typo")]);
    assert_eq!(merged(&foreign), (TrustPresence::Absent, vec![parsed(&foreign)[0].clone(), wanted()]));
    // A foreign one that fits is enough.
    let fits = json!([node, mine("Other", PROVIDER, ACCOUNT)]);
    assert_eq!(merged(&fits), (TrustPresence::Present(1), parsed(&fits)));
    // Ours, twice.
    let (presence, statements) =
        merged(&json!([mine(SID, PROVIDER, ACCOUNT), mine("EksBootstrapIrsa2", PROVIDER, "old")]));
    assert_eq!((presence, statements.len()), (TrustPresence::Outdated(1), 1));
    // Another cluster of the same role has our Sid: kept, and ours gets a Sid of its own that is found again.
    let shared = json!([mine(SID, "arn:aws:iam::111122223333:oidc-provider/other", ACCOUNT)]);
    let (presence, statements) = merged(&shared);
    assert_eq!((presence, statements.len(), &statements[0]), (TrustPresence::Absent, 2, &parsed(&shared)[0]));
    let again = Document { version: None, id: None, statements, other: std::collections::BTreeMap::new() };
    assert_eq!(again.validate(Kind::Trust), Ok(()));
    assert_eq!(find_trust(&again, &wanted()), TrustPresence::Present(1));
    assert_eq!(merge_trust(&again, &wanted()), again);
}

#[test]
fn the_catalogue_holds_every_partition() {
    for partition in PARTITIONS {
        let policy = load_balancer_controller_policy(partition).expect(partition);
        assert_eq!(policy.validate(Kind::Permissions), Ok(()), "{partition}");
        assert!(!policy.to_json().contains("${"), "{partition}");
    }
    assert_eq!(load_balancer_controller_policy("aws-moon"), None);
}

/// A statement as JSON in a random spelling-neutral form: lists of one to three items out of small sets.
fn statement() -> impl Strategy<Value = Value> {
    let names = |names: &'static [&'static str]| prop::sample::subsequence(names, 1..=names.len());
    let condition = prop_oneof![
        Just(json!({})),
        names(&["v1", "v2"]).prop_map(|values| json!({"StringEquals": {"aws:Key": values}})),
        names(&["v1", "v3"]).prop_map(|values| json!({"StringLike": {"aws:key": values, "other": "x"}})),
    ];
    let parts =
        (prop::bool::ANY, names(&["a:One", "a:Two", "b:Three"]), names(&["r1", "r2", "*"]), condition, prop::bool::ANY);
    parts.prop_map(|(allow, actions, resources, condition, negative)| {
        let effect = if allow { "Allow" } else { "Deny" };
        let element = if negative { "NotAction" } else { "Action" };
        json!({"Effect": effect, element: actions, "Resource": resources, "Condition": condition})
    })
}

/// A trust statement: ours, ours but wrong, another cluster's with our `Sid`, or anybody's.
fn trust_statement() -> impl Strategy<Value = Value> {
    let sid = prop::sample::select(vec![None, Some(SID), Some("Other"), Some("EksBootstrapIrsa12345678")]);
    let provider = prop::sample::select(vec![PROVIDER, "arn:aws:iam::111122223333:oidc-provider/other"]);
    let account = prop::sample::select(vec![ACCOUNT, "typo"]);
    (sid, provider, account).prop_map(|(sid, provider, account)| {
        let mut value = json!({"Effect": "Allow", "Principal": {"Federated": provider}, "Action": WEB_IDENTITY_ACTION, "Condition":
            {"StringEquals": {format!("{ISSUER}:aud"): AUDIENCE, format!("{ISSUER}:sub"): subject("kube-system", account)}}});
        if let Some(sid) = sid {
            value["Sid"] = sid.into();
        }
        value
    })
}

/// Another spelling of the same: lists turned around, doubled or written as single strings, other case, a `Sid`.
fn respelled(value: &Value, seed: u64) -> Value {
    let mut statement = value.as_object().expect("an object").clone();
    for (position, name) in ["Action", "NotAction", "Resource"].into_iter().enumerate() {
        let Some(Value::Array(items)) = statement.get(name).cloned() else { continue };
        let mut items: Vec<Value> = items.into_iter().rev().collect();
        if seed >> position & 1 == 1 {
            items.push(items[0].clone());
        } else if let [single] = items.as_slice() {
            statement.insert(name.into(), single.clone());
            continue;
        }
        if name != "Resource" && seed >> 4 & 1 == 1 {
            items = items.iter().map(|item| item.as_str().expect("a name").to_uppercase().into()).collect();
        }
        statement.insert(name.into(), items.into());
    }
    statement.insert("Sid".into(), format!("S{seed}").into());
    Value::Object(statement)
}

proptest! {
    #[test]
    fn canonical_text_is_stable(statements in prop::collection::vec(statement(), 0..4)) {
        let document = permissions(&json!(statements));
        let canonical = document.canonical();
        prop_assert_eq!(&Document::parse(&canonical).expect("canonical text parses").canonical(), &canonical);
        prop_assert_eq!(&Document::parse(&document.to_json()).expect("own text parses"), &document);
        prop_assert_eq!(&Document::parse(&document.to_pretty_json()).expect("own text parses"), &document);
    }

    #[test]
    fn spelling_makes_no_difference(
        (plain, shuffled) in prop::collection::vec(statement(), 0..4)
            .prop_flat_map(|plain| (Just(plain.clone()), Just(plain).prop_shuffle())),
        seed in 0_u64..32,
    ) {
        let shuffled: Vec<Value> = shuffled.iter().enumerate().map(|(index, value)| respelled(value, seed ^ index as u64)).collect();
        let (plain, shuffled) = (permissions(&json!(plain)), permissions(&json!(shuffled)));
        prop_assert_eq!(plain.canonical(), shuffled.canonical());
        prop_assert!(same_meaning(&plain, &shuffled));
        prop_assert_eq!(diff(&plain, &shuffled), vec![]);
    }

    #[test]
    fn differences_are_shown_exactly_where_meanings_differ(
        before in prop::collection::vec(statement(), 0..4),
        after in prop::collection::vec(statement(), 0..4),
    ) {
        let (before, after) = (permissions(&json!(before)), permissions(&json!(after)));
        prop_assert_eq!(diff(&before, &after).is_empty(), same_meaning(&before, &after));
        let counts = action_counts(&before, &after);
        prop_assert_eq!(counts.added + counts.removed == 0, same_meaning(&before, &after));
    }

    #[test]
    fn merging_twice_is_merging_once_and_loses_nothing(statements in prop::collection::vec(trust_statement(), 0..5)) {
        let existing = permissions(&json!(statements));
        let wanted = wanted();
        let merged = merge_trust(&existing, &wanted);
        prop_assert_eq!(&merge_trust(&merged, &wanted), &merged);
        prop_assert!(matches!(find_trust(&merged, &wanted), TrustPresence::Present(_)));
        prop_assert_eq!(matches!(find_trust(&existing, &wanted), TrustPresence::Present(_)), merged == existing);
        prop_assert!(evaluate_trust(&merged, &request()).allowed());

        let foreign = |document: &Document| -> Vec<Statement> {
            let ours = |statement: &&Statement| {
                statement.sid.as_deref().is_some_and(|sid| sid.starts_with(SID)) && statement.to_owned().principal == wanted.principal
            };
            document.statements.iter().filter(|statement| !ours(statement)).cloned().collect()
        };
        prop_assert_eq!(foreign(&existing), foreign(&merged));
        let sids: Vec<_> = merged.statements.iter().filter_map(|statement| statement.sid.clone()).collect();
        let before: Vec<_> = existing.statements.iter().filter_map(|statement| statement.sid.clone()).collect();
        if before.iter().collect::<BTreeSet<_>>().len() == before.len() {
            prop_assert_eq!(sids.iter().collect::<BTreeSet<_>>().len(), sids.len());
        }
    }
}
