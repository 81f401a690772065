//! Host names as AWS has them, and what is made of answers that are none.

use super::*;

#[test]
fn hosts_follow_partition_and_settings() {
    for (region, fips, dual, expected) in [
        ("eu-west-1", false, false, "x.eu-west-1.amazonaws.com"),
        ("eu-west-1", false, true, "x.eu-west-1.api.aws"),
        ("eu-west-1", true, false, "x-fips.eu-west-1.amazonaws.com"),
        ("eu-west-1", true, true, "x-fips.eu-west-1.api.aws"),
        ("us-gov-west-1", false, false, "x.us-gov-west-1.amazonaws.com"),
        ("us-gov-west-1", true, false, "x.us-gov-west-1.amazonaws.com"),
        ("us-gov-west-1", true, true, "x-fips.us-gov-west-1.api.aws"),
        ("cn-north-1", false, false, "x.cn-north-1.amazonaws.com.cn"),
        ("cn-north-1", false, true, "x.cn-north-1.api.amazonwebservices.com.cn"),
        ("us-iso-east-1", false, false, "x.us-iso-east-1.c2s.ic.gov"),
        ("us-iso-east-1", false, true, "x.us-iso-east-1.api.aws.ic.gov"),
        ("us-isob-east-1", false, false, "x.us-isob-east-1.sc2s.sgov.gov"),
        ("us-isob-east-1", false, true, "x.us-isob-east-1.api.aws.scloud"),
        ("eu-isoe-west-1", false, false, "x.eu-isoe-west-1.cloud.adc-e.uk"),
        ("eu-isoe-west-1", false, true, "x.eu-isoe-west-1.api.cloud-aws.adc-e.uk"),
        ("us-isof-south-1", false, false, "x.us-isof-south-1.csp.hci.ic.gov"),
        ("us-isof-south-1", false, true, "x.us-isof-south-1.api.aws.hci.ic.gov"),
        ("eusc-de-east-1", false, false, "x.eusc-de-east-1.amazonaws.eu"),
        ("eusc-de-east-1", false, true, "x.eusc-de-east-1.api.amazonwebservices.eu"),
    ] {
        assert_eq!(host("x", region, fips, dual), expected);
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    let response = http::Response::builder().status(status).header("x-amzn-requestid", "from-header");
    HttpResponse::try_from(response.body(SdkBody::from(body)).unwrap()).unwrap()
}

/// Code, message and request id of an answer.
fn refusal(protocol: Protocol, status: u16, body: &str) -> (Option<String>, String, Option<String>) {
    let refused = read::<Value>(protocol, &answer(status, body)).unwrap_err();
    let Refusal(error) = refused.as_operation_error().unwrap();
    (
        error.code().map(ToOwned::to_owned),
        error.message().unwrap_or_default().to_owned(),
        error.extra("aws_request_id").map(ToOwned::to_owned),
    )
}

#[test]
fn errors_have_a_code_whatever_the_protocol() {
    let (query, json) = (Protocol::Query("1"), Protocol::Json("X"));
    let xml = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no &lt;you&gt;</Message></Error>\
               <RequestId>id</RequestId></ErrorResponse>";
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(refusal(query, 403, xml), (some("AccessDenied"), "no <you>".to_owned(), some("id")));
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>UnauthorizedOperation</Code>\
               <Message>You are not authorized.</Message></Error></Errors><RequestID>ec2-id</RequestID></Response>";
    assert_eq!(
        refusal(query, 403, xml),
        (some("UnauthorizedOperation"), "You are not authorized.".to_owned(), some("ec2-id"))
    );
    let body = r#"{"__type": "com.amazonaws.x#AcceleratorNotFoundException:http://internal", "Message": "gone"}"#;
    assert_eq!(
        refusal(json, 400, body),
        (some("AcceleratorNotFoundException"), "gone".to_owned(), some("from-header"))
    );
    // A proxy in between has its own words, and half an error is none.
    for (protocol, body) in [(query, "<html>busy</html>"), (json, "<html>busy</html>"), (query, &xml[..xml.len() - 5])]
    {
        let (code, message, _) = refusal(protocol, 503, body);
        assert_eq!((code, message.as_str()), (None, "HTTP status 503"));
    }
}

#[test]
fn a_service_is_asked_where_the_user_says() {
    let service = Service { id: "Global Accelerator", name: "globalaccelerator", protocol: Protocol::Json("X") };
    let config = |url: Option<&str>| {
        let mut builder = SdkConfig::builder();
        builder.set_region(Some(aws_config::Region::new("us-west-2"))).set_endpoint_url(url.map(ToOwned::to_owned));
        builder.build()
    };
    assert_eq!(endpoint(&config(None), &service), "https://globalaccelerator.us-west-2.amazonaws.com");
    assert_eq!(endpoint(&config(Some("http://127.0.0.1:1")), &service), "http://127.0.0.1:1");
}
