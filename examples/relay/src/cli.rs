//! The command line, and the operator's commands.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use layercast_meeting::{Secret, Text};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::data;
use crate::files;
use crate::secrets::{PasswordCost, SecretError, hash_password};
use crate::store::{Erasure, FILE, Store, StoreError};

/// Passwords have at least so many bytes.
const MIN_PASSWORD: usize = 8;
/// And at most so many: Argon2 reads all of them.
const MAX_PASSWORD: usize = 1024;

/// A relay for video meetings that stay end-to-end encrypted.
#[derive(Debug, Parser)]
#[command(name = "relay", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the relay keeps what it keeps.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Directory of the database, the certificate and its key
    #[arg(long, default_value = "relay-data", value_name = "DIR")]
    pub data: PathBuf,
}

/// What the relay can do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Command {
    /// Serve meetings
    Serve(ServeArgs),
    /// Make, list and remove accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Say what the relay stores about people, and why
    DataReport {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print everything about an account, as JSON
    Export {
        /// The account
        name: String,
        /// Where
        #[command(flatten)]
        data: DataArgs,
    },
    /// Erase an account and all that is about it, and prove it
    Forget {
        /// The account
        name: String,
        /// Where
        #[command(flatten)]
        data: DataArgs,
    },
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account; its password is read from the terminal or from standard input
    Add {
        /// Its name
        name: String,
        /// It is of another organization
        #[arg(long)]
        outsider: bool,
        /// Where
        #[command(flatten)]
        data: DataArgs,
    },
    /// List accounts
    List {
        /// Where
        #[command(flatten)]
        data: DataArgs,
    },
    /// Remove an account: the same as `forget`
    Remove {
        /// Its name
        name: String,
        /// Where
        #[command(flatten)]
        data: DataArgs,
    },
    /// Give an account another password, and end its sessions
    Password {
        /// Its name
        name: String,
        /// Where
        #[command(flatten)]
        data: DataArgs,
    },
}

/// How to serve.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where the relay keeps what it keeps.
    #[command(flatten)]
    pub data: DataArgs,
    /// Where to listen for HTTPS and WebSockets
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where to listen for media
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDR")]
    pub udp: SocketAddr,
    /// Addresses by which participants reach this machine; those of its interfaces if none is given
    #[arg(long, value_name = "IP", num_args = 1.., value_delimiter = ',')]
    pub public: Vec<IpAddr>,
    /// Certificate of TLS in PEM; one is made if none is given
    #[arg(long, requires = "key", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Its key in PEM
    #[arg(long, requires = "cert", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Directory of the page for browsers; none is served if none is given
    #[arg(long, value_name = "DIR")]
    pub page: Option<PathBuf>,
    /// Where this relay stands, which participants are told
    #[arg(long, default_value = "not stated", value_name = "TEXT", value_parser = text)]
    pub region: Text,
    /// Keep the history of meetings for so many days; it is not kept otherwise
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub history: Option<u32>,
    /// How long a session lasts
    #[arg(long, default_value_t = 12, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub session_hours: u32,
    /// Threads that forward media; as many as there are processors if none is given
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Where to serve figures for Prometheus, in plain HTTP at /metrics: nowhere if none is given
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// What to log, as tracing filters
    #[arg(long, default_value = "audit=info,layercast_relay=info,relay=info", value_name = "FILTER")]
    pub log: String,
    /// Log as JSON
    #[arg(long)]
    pub log_json: bool,
}

fn text(text: &str) -> Result<Text, String> {
    Text::new(text).ok_or_else(|| "1 to 128 bytes without control characters".into())
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password could not be hashed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Reading or writing failed.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The terminal would not hide what is typed.
    #[error("the terminal does not hide the password: {0}")]
    Terminal(#[from] nix::Error),
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// A folder has no database.
    #[error("there is no database of a relay in {}", .0.display())]
    NoDatabase(PathBuf),
    /// It is no name for an account.
    #[error("a name has 1 to 128 bytes without control characters, and no spaces around it")]
    Name,
    /// The password is too short or too long.
    #[error("a password has {MIN_PASSWORD} to {MAX_PASSWORD} bytes")]
    Password,
    /// The password was typed in two ways.
    #[error("these were two different passwords: nothing was changed")]
    Differ,
    /// The name is still in the database.
    #[error("the name is still in the database: see above")]
    Remains,
}

/// Does what an operator's command says.
///
/// # Errors
/// [`CommandError`].
pub fn run(command: &Command, out: &mut dyn io::Write) -> Result<(), CommandError> {
    match command {
        // The binary's own part.
        Command::Serve(_) => Ok(()),
        Command::Account(command) => run_account(command, out),
        Command::DataReport { json } => {
            if *json {
                serde_json::to_writer_pretty(&mut *out, data::DATA).map_err(io::Error::from)?;
                writeln!(out)?;
            } else {
                write!(out, "{}", data::to_markdown())?;
            }
            Ok(())
        }
        Command::Export { name, data } => {
            let export = open(&data.data)?.export(name)?.ok_or(CommandError::NoAccount)?;
            serde_json::to_writer_pretty(&mut *out, &export).map_err(io::Error::from)?;
            writeln!(out)?;
            Ok(())
        }
        Command::Forget { name, data } => forget(name, &data.data, out),
    }
}

fn run_account(command: &AccountCommand, out: &mut dyn io::Write) -> Result<(), CommandError> {
    match command {
        AccountCommand::Add { name, outsider, data } => {
            if Text::new(name).is_none_or(|text| text.as_str() != name) {
                return Err(CommandError::Name);
            }
            let mut store = make(&data.data)?;
            if store.account(name)?.is_some() {
                return Err(StoreError::NameTaken.into());
            }
            let hash = hash_password(&read_password()?, PasswordCost::OWASP)?;
            store.add_account(name, hash.expose(), *outsider, unix_now())?;
            let outsider = if *outsider { ", of another organization" } else { "" };
            writeln!(out, "account {name} made in {}{outsider}", data.data.display())?;
            Ok(())
        }
        AccountCommand::List { data } => {
            for account in open(&data.data)?.accounts()? {
                let outsider = if account.outsider { "\toutsider" } else { "" };
                writeln!(out, "{}{outsider}", account.name)?;
            }
            Ok(())
        }
        AccountCommand::Remove { name, data } => forget(name, &data.data, out),
        AccountCommand::Password { name, data } => {
            let mut store = open(&data.data)?;
            store.account(name)?.ok_or(CommandError::NoAccount)?;
            let hash = hash_password(&read_password()?, PasswordCost::OWASP)?;
            if !store.set_password(name, hash.expose())? {
                return Err(CommandError::NoAccount);
            }
            writeln!(out, "account {name} has another password, and its sessions have ended")?;
            Ok(())
        }
    }
}

fn forget(name: &str, directory: &Path, out: &mut dyn io::Write) -> Result<(), CommandError> {
    let Erasure { erased, remains } =
        open(directory)?.forget(directory, name)?.ok_or(CommandError::NoAccount)?;
    writeln!(
        out,
        "erased: {} account, {} sessions, {} meetings, {} places in rosters, {} entries of the history",
        erased.accounts, erased.sessions, erased.meetings, erased.roster, erased.history_people
    )?;
    let bytes = remains.searched_bytes;
    writeln!(out, "searched for the name: {bytes} bytes of the database, free pages and log among them")?;
    for (column, rows) in &remains.columns {
        writeln!(out, "another row has it in its text: {column} ({rows})")?;
    }
    if remains.is_in_schema {
        writeln!(out, "the database's own names have it, so that it cannot be told whether free pages do")?;
    }
    if remains.was_busy {
        writeln!(out, "the log could not be emptied, since the database was in use: run this again")?;
    }
    writeln!(out, "found: {}", remains.occurrences)?;
    if remains.is_clean() { Ok(()) } else { Err(CommandError::Remains) }
}

/// Opens a database that is there. Another one, made for the question, would answer that it knows nobody.
fn open(directory: &Path) -> Result<Store, CommandError> {
    if !directory.join(FILE).exists() {
        return Err(CommandError::NoDatabase(directory.to_owned()));
    }
    make(directory)
}

/// Opens a database, which is made if it is not there.
fn make(directory: &Path) -> Result<Store, CommandError> {
    files::make_private_directory(directory)?;
    Ok(Store::open(directory)?)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A line from standard input. A terminal asks for it twice, and does not show it.
fn read_password() -> Result<Secret, CommandError> {
    let input = io::stdin();
    let password = if input.is_terminal() {
        let password = ask("Password: ")?;
        if *ask("The same again: ")? != *password {
            return Err(CommandError::Differ);
        }
        password
    } else {
        let mut line = Zeroizing::new(String::new());
        input.lock().read_line(&mut line)?;
        line
    };
    let password = password.trim_end_matches(['\r', '\n']);
    if (MIN_PASSWORD..=MAX_PASSWORD).contains(&password.len()) {
        Ok(Secret::new(password.into()))
    } else {
        Err(CommandError::Password)
    }
}

/// A line from the terminal, which does not show it.
fn ask(prompt: &str) -> Result<Zeroizing<String>, CommandError> {
    let input = io::stdin();
    let mut line = Zeroizing::new(String::new());
    eprint!("{prompt}");
    io::stderr().flush()?;
    let shown = tcgetattr(&input)?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&input, SetArg::TCSAFLUSH, &hidden)?;
    let read = input.lock().read_line(&mut line);
    tcsetattr(&input, SetArg::TCSAFLUSH, &shown)?;
    eprintln!();
    read?;
    Ok(line)
}
