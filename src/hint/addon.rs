//! What EKS says of a configuration that an add-on's schema does not take, and which field of the user's that is.
//!
//! EKS has one code for everything that it finds wrong with a call, so its text tells (aws/containers-roadmap#2216).

use crate::component::EBS_CSI_DRIVER;
use crate::error::AwsError;
use crate::retry;

/// Whether EKS refused an add-on's configuration.
pub(super) fn is_of_configuration(error: &AwsError) -> bool {
    retry::refuses_addon(error, retry::CONFIGURATION)
}

/// What to do about it: `values` of the driver are the configuration of the one add-on that is given any.
pub(super) fn fix(error: &AwsError) -> String {
    let (name, values) = (EBS_CSI_DRIVER.name, format!("spec.components.{}.values", EBS_CSI_DRIVER.field()));
    // `[$.controller.replicas: is not defined in the schema ..., $.fips: string found, boolean expected]`
    let place = |word: &str| {
        let place = word.trim_start_matches('[').strip_prefix('$')?.strip_suffix(':')?;
        Some(format!("{values}{place}"))
    };
    let places: Vec<_> = error.message.split_whitespace().filter_map(place).collect();
    let places = if places.is_empty() { values } else { places.join(" and ") };
    format!(
        "correct {places} in the configuration file: with --ebs-managed-by eks-addon the values are the add-on's configuration, and \
         `aws eks describe-addon-configuration --addon-name {name} --addon-version VERSION` prints what it takes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(operation: &str, message: &str) -> AwsError {
        AwsError {
            operation: operation.to_owned(),
            code: Some("InvalidParameterException".to_owned()),
            message: message.to_owned(),
            request_id: None,
            status: Some(400),
            no_credentials: false,
            untrusted: false,
        }
    }

    #[test]
    fn the_fields_that_eks_names_are_those_of_the_file() {
        let refused = error(
            "eks:CreateAddon",
            "ConfigurationValue provided in request is not supported: Json schema validation failed with error: \
             [$.controller.replicas: is not defined in the schema and the schema does not allow additional properties, \
             $.node.env[0]: string found, object expected]",
        );
        assert!(is_of_configuration(&refused));
        let fix = fix(&refused);
        let places = "spec.components.awsEbsCsiDriver.values.controller.replicas and \
                      spec.components.awsEbsCsiDriver.values.node.env[0] in the configuration file";
        assert!(fix.starts_with(&format!("correct {places}")), "{fix}");
        let other = super::fix(&error("eks:UpdateAddon", "ConfigurationValue is not in valid JSON or YAML format"));
        assert!(other.starts_with("correct spec.components.awsEbsCsiDriver.values in"), "{other}");
    }

    #[test]
    fn only_a_role_that_eks_does_not_know_yet_is_worth_another_try() {
        use crate::error::Error;
        let again = |operation: &str, message: &str, role_is_new: bool| {
            let error = Error::Aws(error(operation, message));
            (crate::retry::transient(&error, role_is_new).is_some(), crate::hint::needs_change(&error))
        };
        for operation in ["eks:CreateAddon", "eks:UpdateAddon"] {
            let unknown = "Role provided in the request does not exist.";
            assert_eq!(again(operation, unknown, true), (true, false));
            assert_eq!(again(operation, unknown, false), (false, false));
            let unsupported = "ConfigurationValue provided in request is not supported: x";
            assert_eq!(again(operation, unsupported, true), (false, true));
            assert_eq!(again(operation, "Addon version specified is not supported", true), (false, false));
        }
        assert_eq!(
            again("eks:CreatePodIdentityAssociation", "Role provided in the request does not exist.", true),
            (true, false)
        );
    }
}
