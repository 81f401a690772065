//! Codes of MFA devices, as AssumeRole takes them.
//!
//! A device shows a list of codes instead of one for every half minute; each is taken once, as AWS takes it
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html>).

use super::error::{ApiError, Result};
use super::form::Form;
use super::world::World;

/// Says whether a call brings a code that its caller's device shows, and uses the code up. One that brings none is no mistake.
pub(super) fn check(world: &mut World, caller: &str, form: &Form) -> Result<bool> {
    let denied =
        |text: &str| Err(ApiError::new("AccessDenied", 403, format!("MultiFactorAuthentication failed{text}")));
    let (serial, code) = match (form.get("SerialNumber"), form.get("TokenCode")) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        _ => return denied(", must provide both MFA serial number and one time pass code."),
    };
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::constraint(code, "tokenCode", "satisfy regular expression pattern: [\\d]*"));
    }
    // Sessions have no devices.
    let device = world.mfa_devices.iter_mut().find(|device| device.serial == serial && device.user == caller);
    let Some(device) = device else {
        return denied(
            ", unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
        );
    };
    let Some(shown) = device.codes.iter().position(|shown| shown == code) else {
        return denied(" with invalid MFA one time pass code. ");
    };
    device.codes.remove(shown);
    Ok(true)
}
