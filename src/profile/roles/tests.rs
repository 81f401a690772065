use aws_config::profile;
use aws_types::os_shim_internal::{Env, Fs};

use super::*;

const ADMIN: &str = "arn:aws:iam::111122223333:role/admin";
const DEVICE: &str = "arn:aws:iam::111122223333:mfa/jane";
const USER: &str = "[profile user]\naws_access_key_id = AKIA\naws_secret_access_key = secret\n";

async fn set(config: &str) -> ProfileSet {
    let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, config).build();
    profile::load(&Fs::from_slice(&[]), &Env::from_slice(&[]), &files, None).await.unwrap()
}

async fn of_config(config: &str, name: &str, flag: Option<&str>) -> Result<Option<Chain>> {
    chain(&set(config).await, name, flag)
}

fn admin() -> Role {
    Role {
        profile: "prod".to_owned(),
        arn: ADMIN.to_owned(),
        session_name: SESSION.to_owned(),
        external_id: None,
        seconds: None,
        mfa_serial: Some(DEVICE.to_owned()),
        of_flag: false,
    }
}

/// The profile `prod`, whose role wants a code, with more settings.
fn prod(more: &str) -> String {
    format!("{USER}[profile prod]\nrole_arn = {ADMIN}\nmfa_serial = {DEVICE}\n{more}")
}

#[tokio::test]
async fn what_wants_no_code_is_left_to_the_sdk() {
    let plain = format!("{USER}[profile prod]\nrole_arn = {ADMIN}\nsource_profile = user\n");
    let looped = format!(
        "[profile prod]\nrole_arn = {ADMIN}\nsource_profile = prod2\n[profile prod2]\nrole_arn = {ADMIN}\nsource_profile = prod\n"
    );
    let device_alone = format!("{USER}mfa_serial = {DEVICE}\n");
    for (config, name) in [(plain.as_str(), "prod"), (&looped, "prod"), (&device_alone, "user"), ("", "default")] {
        assert_eq!(of_config(config, name, None).await.unwrap(), None, "{config}");
    }
    assert_eq!(of_config(&plain, "prod", Some(ADMIN)).await.unwrap(), None);
}

#[tokio::test]
async fn a_role_that_wants_a_code_is_ours_with_all_that_the_profile_says_of_it() {
    let more = "source_profile = user\nduration_seconds = 7200\nrole_session_name = jane\nexternal_id = 4711\n";
    let found = of_config(&prod(more), "prod", None).await.unwrap().unwrap();
    let role =
        Role { session_name: "jane".to_owned(), external_id: Some("4711".to_owned()), seconds: Some(7200), ..admin() };
    assert_eq!(found, Chain { base: Base::Profile("user".to_owned()), roles: vec![role] });
}

#[tokio::test]
async fn roles_are_assumed_one_by_one_from_the_base_on() {
    let last = "arn:aws:iam::444455556666:role/last";
    let config =
        format!("{}[profile last]\nrole_arn = {last}\nsource_profile = prod\n", prod("source_profile = user\n"));
    let found = of_config(&config, "last", Some("arn:aws:iam::444455556666:role/flag")).await.unwrap().unwrap();
    assert_eq!(found.base, Base::Profile("user".to_owned()));
    let told: Vec<_> =
        found.roles.iter().map(|role| (role.arn.as_str(), role.mfa_serial.is_some(), role.of_flag)).collect();
    let flag = "arn:aws:iam::444455556666:role/flag";
    assert_eq!(told, [(ADMIN, true, false), (last, false, false), (flag, false, true)]);
}

#[tokio::test]
async fn the_flag_takes_the_device_of_a_profile_with_keys() {
    let config = format!("{USER}mfa_serial = {DEVICE}\n");
    let found = of_config(&config, "user", Some(ADMIN)).await.unwrap().unwrap();
    let role = Role { profile: "user".to_owned(), of_flag: true, ..admin() };
    assert_eq!(found, Chain { base: Base::Profile("user".to_owned()), roles: vec![role] });
}

#[tokio::test]
async fn a_profile_can_be_its_own_source_or_name_a_place() {
    let own = prod("source_profile = prod\naws_access_key_id = AKIB\naws_secret_access_key = s#e\nsso_session =\n");
    let found = of_config(&own, "prod", None).await.unwrap().unwrap();
    assert_eq!(found.base, Base::WithoutRole("prod".to_owned()));
    let text = without_role(&set(&own).await, "prod");
    let again = set(&text).await;
    let again = again.get_profile(WITHOUT_ROLE).unwrap();
    assert_eq!((again.get("aws_access_key_id"), again.get("aws_secret_access_key")), (Some("AKIB"), Some("s#e")));
    assert_eq!((again.get("role_arn"), again.get("mfa_serial")), (None, None));
    // Keys of a source count before its role.
    let source = format!("{USER}role_arn = {ADMIN}\nsource_profile = other\n[profile other]\n");
    let config = format!("{source}[profile prod]\nrole_arn = {ADMIN}\nmfa_serial = {DEVICE}\nsource_profile = user\n");
    assert_eq!(of_config(&config, "prod", None).await.unwrap().unwrap().base, Base::WithoutRole("user".to_owned()));
    let placed = of_config(&prod("credential_source = environment\n"), "prod", None).await.unwrap().unwrap();
    assert_eq!(placed.base, Base::Place(Place::Environment));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let looped = format!("source_profile = b\n[profile b]\nrole_arn = {ADMIN}\nsource_profile = prod\n");
    for (more, named) in [
        ("source_profile = user\nduration_seconds = soon\n", "`soon` for duration_seconds of AWS profile `prod`"),
        ("source_profile = user\nduration_seconds = 60\n", "from 900 to 43200"),
        ("credential_source = Cloud\n", "`Cloud` for credential_source of AWS profile `prod`"),
        ("", "without source_profile and credential_source"),
        ("source_profile = user\ncredential_source = Environment\n", "with both source_profile and credential_source"),
        (&looped, "the profiles never end: prod, b"),
    ] {
        let error = of_config(&prod(more), "prod", None).await.unwrap_err();
        assert_eq!(error.exit_code(), crate::exit_code::USAGE);
        let text = crate::report::of(&error);
        assert!(text.contains(named), "{text}");
    }
    let config = prod("source_profile = user\n").replace(DEVICE, "jane's phone");
    let text = crate::report::of(&of_config(&config, "prod", None).await.unwrap_err());
    assert!(text.contains("`jane's phone` for mfa_serial of AWS profile `prod`: not an MFA device"), "{text}");
}
