//! The contract of MFA codes and of regions that are not enabled.

use aws_credential_types::Credentials;

use super::lab::{Lab, said};
use super::{Case, case};

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/jane";

/// The keys of a user who has a device.
fn jane() -> Credentials {
    Credentials::new("AKIACONTRACTMFA00001", "secret-4", None, None, "contract")
}

/// What STS says to the user who assumes the role that wants a code; an answer that is an error with its text.
async fn assume(lab: &Lab, serial: Option<&str>, code: Option<&str>) -> String {
    let client = aws_sdk_sts::Client::new(&lab.seen_by(&jane(), "eu-west-1"));
    let call = client.assume_role().role_arn("arn:aws:iam::111122223333:role/careful").role_session_name("s1");
    let call = call.set_serial_number(serial.map(ToOwned::to_owned)).set_token_code(code.map(ToOwned::to_owned));
    match call.send().await {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let text = error.into_service_error().meta().message().unwrap_or_default().to_owned();
            text.split(['.', ':']).next().unwrap_or_default().trim().to_owned()
        }
    }
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "mfa: a role that wants a code does not let in who brings none",
            Simulator,
            |lab| assume(&lab, None, None).await,
            "User"
        ),
        case!(
            "mfa: a code is taken once",
            Simulator,
            |lab| {
                let first = assume(&lab, Some(DEVICE), Some("123456")).await;
                format!("{first}, {}", assume(&lab, Some(DEVICE), Some("123456")).await)
            },
            "ok, MultiFactorAuthentication failed with invalid MFA one time pass code"
        ),
        case!(
            "mfa: a code that the device does not show",
            Simulator,
            |lab| assume(&lab, Some(DEVICE), Some("654321")).await,
            "MultiFactorAuthentication failed with invalid MFA one time pass code"
        ),
        case!(
            "mfa: the device of somebody else",
            Simulator,
            |lab| assume(&lab, Some("arn:aws:iam::111122223333:mfa/john"), Some("123456")).await,
            "MultiFactorAuthentication failed, unable to validate MFA code"
        ),
        case!(
            "mfa: a code without its device",
            Simulator,
            |lab| assume(&lab, None, Some("123456")).await,
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code"
        ),
        case!(
            "region: one that is not enabled knows no keys, and only STS says why",
            Simulator,
            |lab| {
                let config = lab.seen_by(&jane(), "ap-east-1");
                let sts = aws_sdk_sts::Client::new(&config);
                let who = said(sts.get_caller_identity().send().await);
                let role = sts.assume_role().role_arn("arn:aws:iam::111122223333:role/reader").role_session_name("s1");
                let eks = said(aws_sdk_eks::Client::new(&config).list_clusters().send().await);
                let iam = said(aws_sdk_iam::Client::new(&config).list_roles().send().await);
                format!("{who}, {}, {eks}, {iam}", said(role.send().await))
            },
            "403 InvalidClientTokenId, 403 RegionDisabledException, 403 UnrecognizedClientException, ok"
        ),
    ]
}
