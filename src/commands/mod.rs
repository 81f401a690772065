//! The commands: each takes resolved values, and returns the exit code.

pub mod apply;
pub mod assess;
mod beside_irsa;
pub mod bundle;
pub mod config;
mod connecting;
mod deep;
pub mod destroy;
pub mod diagnostics;
pub mod execute;
pub mod explain;
pub mod images;
pub mod migrate;
pub mod permissions;
pub mod plan;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod saved;
pub mod smoke;
pub mod token;
pub mod verify;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command, Output};
use crate::error::{Error, Result};
use crate::exit_code;
use crate::render::terminal::Terminal;

/// Runs the command of the command line; `matches` is the same command line before it lost where each value came from.
///
/// # Errors
/// Whatever kept the command from its result; `main.rs` prints it.
pub async fn run(cli: Cli, matches: &clap::ArgMatches, terminal: Terminal) -> Result<u8> {
    check_form(&cli)?;
    match cli.command {
        Command::Plan(args) => Box::pin(plan::run(&cli.global, &args, terminal)).await,
        Command::Apply(args) => Box::pin(apply::run(&cli.global, &args, matches, terminal)).await,
        Command::Destroy(args) => Box::pin(destroy::run(&cli.global, &args, terminal)).await,
        Command::Verify(args) => Box::pin(verify::run(&cli.global, &args, terminal)).await,
        Command::Migrate(args) => Box::pin(migrate::run(&cli.global, &args, terminal)).await,
        Command::Explain(args) => explain::run(cli.global.output, &args, terminal),
        Command::Permissions(args) => Box::pin(permissions::run(&cli.global, &args, terminal)).await,
        Command::Config(args) => config::run(&cli.global, &args.command, matches, terminal),
        Command::Bundle(args) => bundle::run(&cli.global, &args, terminal).await,
        Command::Images(args) => images::run(&cli.global, &args, terminal).await,
        Command::Smoke(args) => smoke::run(&cli.global, args, terminal),
        Command::Token(args) => Box::pin(token::run(&cli.global, &args, terminal)).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => Box::pin(sandbox::run(&cli.global, args, matches, terminal)).await,
        #[cfg(feature = "sandbox")]
        Command::SandboxReaper => {
            crate::sandbox::control_plane::run_reaper(std::io::stdin().lock());
            Ok(exit_code::DONE)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "eks-bootstrap", &mut script);
            terminal.result(&String::from_utf8_lossy(&script));
            Ok(exit_code::DONE)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(|source| Error::io("write the manual page", source))?;
            terminal.result(&String::from_utf8_lossy(&page));
            Ok(exit_code::DONE)
        }
    }
}

/// The forms of a command's result beside text.
fn forms(command: &Command) -> &'static [Output] {
    match command {
        Command::Plan(_) => &[Output::Json, Output::Commands],
        Command::Verify(_) => &[Output::Json, Output::Short, Output::Junit],
        // The rest says nothing that a program would read, or always in one form.
        _ => &[Output::Json],
    }
}

fn check_form(cli: &Cli) -> Result<()> {
    use clap::ValueEnum as _;
    let wanted = cli.global.output;
    let forms = forms(&cli.command);
    if wanted == Output::Text || forms.contains(&wanted) {
        return Ok(());
    }
    let name = |form: &Output| form.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mend = match (&cli.command, wanted) {
        #[cfg(feature = "sandbox")]
        (Command::Sandbox(_), _) => {
            format!("put the flag behind `--`: `eks-bootstrap sandbox -- plan -o {}`", name(&wanted))
        }
        (_, Output::Commands) => "use `eks-bootstrap plan -o commands`".to_owned(),
        _ => format!("this command knows text, {}", forms.iter().map(name).collect::<Vec<_>>().join(", ")),
    };
    Err(Error::Usage { message: format!("this command has no output form `{}`", name(&wanted)), mend })
}
