//! Values that pass and values that are refused.

use super::*;

#[test]
fn good_values_pass() {
    cluster_name("prod_1-a").unwrap();
    region("eu-west-1").unwrap();
    region("us-gov-west-1").unwrap();
    region("us-iso-east-1").unwrap();
    account("011122223333").unwrap();
    endpoint_url("http://127.0.0.1:4566").unwrap();
    iam_arn("x", "arn:aws-cn:iam::111122223333:role/path/name", "role").unwrap();
    iam_arn("x", "arn:aws:iam::aws:policy/PowerUserAccess", "policy").unwrap();
    iam_path("/").unwrap();
    iam_path("/platform/eks/").unwrap();
    name_prefix("team-").unwrap();
    tags(&BTreeMap::from([("team".to_owned(), "plätform".to_owned())])).unwrap();
    tags(&BTreeMap::from(["team", "teams", "Project"].map(|key| (key.to_owned(), "a".to_owned())))).unwrap();
    version("x", "3.5.0-rc.1").unwrap();
    for key in [
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-west-1:111122223333:alias/ebs/volumes",
    ] {
        kms_key("x", key).unwrap();
    }
    assert_eq!(duration("x", "1h30m").unwrap(), Duration::from_mins(90));
}

#[test]
fn bad_values_are_refused_with_field_value_and_mend() {
    let bad = |result: Result<()>, field: &str| match result {
        Err(error @ Error::Config { .. }) => {
            assert!(error.to_string().contains(field), "{error}");
            assert!(crate::hint::of(&error).is_some());
            assert_eq!(error.exit_code(), crate::exit_code::USAGE);
        }
        other => panic!("{field}: {other:?}"),
    };
    for name in ["", "-a", "a b", "arn:aws:eks:eu-west-1:111122223333:cluster/x", &"a".repeat(101)] {
        bad(cluster_name(name), "--cluster");
    }
    for name in ["", "eu-west-1a", "euwest1", "EU-WEST-1", "eu--1", "eu-west-"] {
        bad(region(name), "--region");
    }
    for id in ["", "1234", "11112222333a", "1111222233334"] {
        bad(account(id), "--account");
    }
    for url in ["", "localhost:80", "ftp://x"] {
        bad(endpoint_url(url), "--endpoint-url");
    }
    for arn in
        ["", "role/x", "arn:aws:iam::111122223333:user/x", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:role/"]
    {
        bad(iam_arn("--assume-role", arn, "role"), "--assume-role");
    }
    for path in ["", "x", "/x", "x/", "//", "/a//b/", "/ä/"] {
        bad(iam_path(path), "--iam-path");
    }
    for prefix in ["a b", "ä", &"a".repeat(21)] {
        bad(name_prefix(prefix), "--name-prefix");
    }
    for (key, value) in [("", "x"), ("aws:x", "y"), ("eks-bootstrap/x", "y"), ("a", "b;c"), ("a", &"v".repeat(257))] {
        bad(tags(&BTreeMap::from([(key.to_owned(), value.to_owned())])), "--tag");
    }
    for (one, other) in [("Team", "team"), ("ÄMTER", "ämter")] {
        let both = BTreeMap::from([one, other].map(|key| (key.to_owned(), "x".to_owned())));
        bad(tags(&both), "--tag");
        let said = tags(&both).unwrap_err().to_string();
        assert!(said.contains(&format!("`{one}` and `{other}`")), "{said}");
    }
    bad(tags(&BTreeMap::from([("EKS-Bootstrap/Cluster".to_owned(), "y".to_owned())])), "--tag");
    for text in ["", "v3.5.0", "3.5", "^3.5.0"] {
        bad(version("--lbc-version", text), "--lbc-version");
    }
    for text in ["", "0s", "-5m", "10", "25h", "soon"] {
        bad(duration("--timeout", text).map(drop), "--timeout");
    }
    for key in [
        "",
        "alias/ebs",
        "1234abcd",
        "mrk-1234",
        "1234abcd-12ab-34cd-56ef-1234567890zz",
        "arn:aws:kms:eu-west-1:1111:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-west-1:111122223333:key/x",
        "arn:aws:iam::111122223333:role/x",
    ] {
        bad(kms_key("kmsKeyId", key), "kmsKeyId");
    }
    bad(one_of("--skip", "iam.role.lcb", ["iam.role.lbc"].into_iter()), "--skip");
    bad(file("--helm", Path::new("/nowhere")), "--helm");
    bad(replicas("x", Some(0)), "replicas");
}
