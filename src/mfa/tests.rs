#![expect(clippy::unwrap_used, reason = "functions of tests that are not tests themselves")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region};

use super::*;
use crate::sandbox::aws::{Seed, Simulator};

/// Answers what it was told to, and counts the questions.
struct Scripted {
    answers: Mutex<VecDeque<&'static str>>,
    questions: AtomicUsize,
    told: Mutex<String>,
}

impl Scripted {
    fn new(answers: &[&'static str]) -> Scripted {
        let answers = Mutex::new(answers.iter().copied().collect());
        Scripted { answers, questions: AtomicUsize::new(0), told: Mutex::default() }
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Person for Scripted {
    fn is_there(&self) -> bool {
        true
    }

    fn tell(&self, text: &str) {
        self.told.lock().unwrap().push_str(text);
    }

    async fn ask(&self, question: &str) -> Option<String> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.tell(question);
        let answer = self.answers.lock().unwrap().pop_front();
        if answer == Some("never") {
            std::future::pending::<()>().await;
        }
        answer.map(|answer| format!("{answer}\n"))
    }
}

struct Nobody;

#[async_trait]
impl Person for Nobody {
    fn is_there(&self) -> bool {
        false
    }

    fn tell(&self, _: &str) {}

    async fn ask(&self, _: &str) -> Option<String> {
        None
    }
}

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/jane";

/// An account with a user who has a device, and a role that wants its codes.
async fn world() -> (Simulator, SdkConfig) {
    let seed = format!(
        "account: \"111122223333\"\nregion: eu-west-1\n\
         credentials:\n- {{accessKeyId: AKIASANDBOXJANE00001, secretAccessKey: secret, caller: \"arn:aws:iam::111122223333:user/jane\"}}\n\
         mfaDevices:\n- {{user: \"arn:aws:iam::111122223333:user/jane\", serial: \"{DEVICE}\", codes: [\"123456\", \"234567\"]}}\n\
         roles:\n- name: admin\n  attached: [\"arn:aws:iam::aws:policy/AdministratorAccess\"]\n  maxSessionSeconds: 7200\n  trust:\n    Version: \"2012-10-17\"\n    Statement:\n    \
         - Effect: Allow\n      Principal: {{AWS: \"arn:aws:iam::111122223333:root\"}}\n      Action: \"sts:AssumeRole\"\n      \
         Condition: {{Bool: {{\"aws:MultiFactorAuthPresent\": \"true\"}}, StringEquals: {{\"sts:ExternalId\": \"4711\"}}}}\n\
         - name: next\n  trust:\n    Version: \"2012-10-17\"\n    Statement:\n    \
         - {{Effect: Allow, Principal: {{AWS: \"arn:aws:iam::111122223333:role/admin\"}}, Action: \"sts:AssumeRole\"}}\n"
    );
    let simulator = Simulator::new(Seed::from_yaml(&seed).unwrap()).unwrap();
    let key = simulator.access_key();
    let keys = Credentials::new(key.access_key_id, key.secret_access_key, None, None, "test");
    let aws = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .http_client(simulator.http_client())
        .credentials_provider(keys);
    (simulator, aws.load().await)
}

/// The role of a profile; each test has a profile of its own, since what was asked is kept for the process.
fn role(profile: &str) -> Role {
    Role {
        profile: profile.to_owned(),
        arn: "arn:aws:iam::111122223333:role/admin".to_owned(),
        session_name: "jane".to_owned(),
        external_id: Some("4711".to_owned()),
        seconds: Some(7200),
        mfa_serial: Some(DEVICE.to_owned()),
        of_flag: false,
    }
}

async fn ask(aws: &SdkConfig, roles: &[Role], person: &dyn Person) -> Result<SharedCredentialsProvider> {
    provider(aws, aws.credentials_provider().unwrap(), roles, person).await
}

fn refusal(outcome: Result<SharedCredentialsProvider>) -> String {
    let error = outcome.expect_err("a session was given");
    assert_eq!(error.exit_code(), crate::exit_code::NO_PERMISSION);
    crate::report::of(&error)
}

#[tokio::test]
async fn a_code_is_asked_for_until_aws_takes_one_and_never_again() {
    let (simulator, aws) = world().await;
    let person = Scripted::new(&["12345", "letters", "123456"]);
    let provider = ask(&aws, &[role("once")], &person).await.unwrap();
    let given = provider.provide_credentials().await.unwrap();
    let lasts = given.expiry().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((7100..=7200).contains(&lasts.as_secs()), "{lasts:?}");
    assert_eq!(person.questions(), 3);
    assert!(person.told.lock().unwrap().contains(&format!("Enter the MFA code of {DEVICE} (AWS profile `once`): ")));

    // Who connects again gets the same session, as do children.
    let again = ask(&aws, &[role("once")], &Scripted::new(&[])).await.unwrap();
    assert_eq!(again.provide_credentials().await.unwrap(), given);
    assert!(asked());
    let assumed: Vec<_> = simulator.calls().into_iter().filter(|call| call.operation == "AssumeRole").collect();
    assert_eq!(assumed.len(), 1, "{assumed:?}");
    assert_eq!(assumed[0].parameters["RoleSessionName"], "jane");
    assert!(!assumed[0].parameters.contains_key("TokenCode"));

    // A role behind it is assumed with the session, and needs no code.
    let next =
        Role { arn: "arn:aws:iam::111122223333:role/next".to_owned(), mfa_serial: None, seconds: None, ..role("once") };
    let last = ask(&aws, &[role("once"), next], &Scripted::new(&[])).await.unwrap();
    assert_ne!(last.provide_credentials().await.unwrap(), given);
}

#[tokio::test]
async fn wrong_codes_are_asked_again_three_times_in_all() {
    let (_simulator, aws) = world().await;
    let person = Scripted::new(&["999999", "234567"]);
    ask(&aws, &[role("wrong-once")], &person).await.unwrap();
    assert_eq!(person.questions(), 2);
    // The code was used up.
    let person = Scripted::new(&["234567", "999999", "888888", "123456"]);
    let text = refusal(ask(&aws, &[role("wrong")], &person).await);
    assert!(text.contains(&format!("AWS accepted none of 3 codes from the MFA device `{DEVICE}`")), "{text}");
    assert!(text.contains("hint: check mfa_serial of AWS profile `wrong`"), "{text}");
    assert_eq!(person.questions(), 3);
    let person = Scripted::new(&["123456"]);
    refusal(ask(&aws, &[role("wrong")], &person).await);
    assert_eq!(person.questions(), 0, "asked again after it failed");
}

#[tokio::test]
async fn a_device_of_somebody_else_and_a_role_that_refuses_are_told_apart() {
    let (_simulator, aws) = world().await;
    let other = Role { mfa_serial: Some("arn:aws:iam::111122223333:mfa/john".to_owned()), ..role("device") };
    let person = Scripted::new(&["123456"]);
    let text = refusal(ask(&aws, &[other], &person).await);
    assert!(text.contains("unable to validate MFA code") && text.contains("aws iam list-mfa-devices"), "{text}");
    let refused = Role { external_id: None, ..role("refused") };
    let text = refusal(ask(&aws, &[refused], &Scripted::new(&["123456"])).await);
    assert!(text.contains("is not authorized to perform: sts:AssumeRole"), "{text}");
    assert!(text.contains("hint: allow sts:AssumeRole"), "{text}");
}

#[tokio::test]
async fn without_a_terminal_it_is_told_how_to() {
    let (simulator, aws) = world().await;
    let text = refusal(ask(&aws, &[role("ci")], &Nobody).await);
    assert!(text.contains(&format!("AWS profile `ci` requires a code from the MFA device `{DEVICE}`")), "{text}");
    assert!(text.contains("eval \"$(aws configure export-credentials --profile ci --format env)\""), "{text}");
    let flag = Role { of_flag: true, ..role("flag") };
    let text = refusal(ask(&aws, &[flag], &Nobody).await);
    let command = "aws sts assume-role --profile flag --role-arn arn:aws:iam::111122223333:role/admin";
    assert!(text.contains(command) && text.contains("without --profile and --assume-role"), "{text}");
    assert!(simulator.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_has_an_end() {
    let (_simulator, aws) = world().await;
    let began = tokio::time::Instant::now();
    let text = refusal(ask(&aws, &[role("slow")], &Scripted::new(&["never"])).await);
    assert!(text.contains("was entered within 5 min"), "{text}");
    assert_eq!(began.elapsed(), Duration::from_mins(5));
    let text = refusal(ask(&aws, &[role("closed")], &Scripted::new(&[])).await);
    assert!(text.contains(&format!("no code from the MFA device `{DEVICE}` was entered\n")), "{text}");
}

#[tokio::test]
async fn nobody_is_asked_where_there_are_no_keys_to_begin_with() {
    #[derive(Debug)]
    struct Empty;
    impl ProvideCredentials for Empty {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no keys")))
        }
    }
    let (_simulator, aws) = world().await;
    let person = Scripted::new(&["123456"]);
    let outcome = provider(&aws, SharedCredentialsProvider::new(Empty), &[role("empty")], &person).await;
    refusal(outcome);
    assert_eq!(person.questions(), 0);
}

#[test]
fn a_session_is_over_at_its_end_and_says_how_to_go_on() {
    let began = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let ends = began + Duration::from_hours(1);
    let credentials = Credentials::new("ASIA", "secret", None, Some(ends), "test");
    let session = Session { credentials: credentials.clone(), began, ends, of: named(&role("prod")) };
    assert_eq!(session.at(ends - Duration::from_secs(1)), Ok(credentials));
    let over = session.at(ends).unwrap_err();
    assert_eq!(over.what, "the MFA session of AWS profile `prod` is over after 60 min");
    // As a call of AWS and as a token for the cluster report it.
    let of_call = AwsError { no_credentials: true, ..AwsError::unusable("iam:GetRole".to_owned(), over.what.clone()) };
    let of_token = Error::Credentials { source: CredentialsError::provider_error(over).into() };
    for error in [Error::Aws(of_call), of_token] {
        assert!(error.bad_credentials() && error.exit_code() == crate::exit_code::NO_PERMISSION);
        let hint = crate::hint::of(&error).unwrap();
        assert!(hint.starts_with("run the same command again") && hint.contains("duration_seconds"), "{hint}");
    }
}
