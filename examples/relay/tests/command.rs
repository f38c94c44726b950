//! The relay's binary, as its operator has it: it is killed in the middle of a meeting, and commanded while it runs.

mod client;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use client::{Client, PATIENCE, connector, secret, text};
use layercast_meeting::{Answer, Bytes, Credential, Event, Refusal, Request};
use serde_json::Value;

fn relay(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command.args(arguments).arg("--data").arg(directory);
    command
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails early reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A relay that serves; it is killed when it goes, as by `kill -9`.
struct Serving {
    child: Child,
    address: SocketAddr,
}

impl Serving {
    fn start(directory: &Path) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--public", "127.0.0.1"];
        let mut child =
            relay(directory, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("relay on https://").and_then(|rest| rest.split(',').next());
        Self { address: address.unwrap().parse().unwrap(), child }
    }

    /// Kills it. What it logged.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let added = run(&mut relay(directory, &["account", "add", "Olga"]), "correct horse\n");
    assert!(added.status.success(), "{added:?}");
    assert!(String::from_utf8_lossy(&added.stdout).starts_with("account Olga made in "), "{added:?}");
    let serving = Serving::start(directory);
    let connector = connector(directory);
    let mut olga = Client::login(serving.address, &connector, "Olga").await;
    let Ok(Answer::Planned(meeting)) = olga.ask(Request::Plan { title: text("Budget") }).await else {
        panic!()
    };
    let Ok(Answer::Invitation(first)) = olga.ask(Request::Invite { meeting: meeting.clone() }).await else {
        panic!()
    };
    let Ok(Answer::Invitation(second)) = olga.ask(Request::Invite { meeting: meeting.clone() }).await else {
        panic!()
    };
    let organizer = olga.join(&meeting, Credential::Account).await.unwrap();
    let mut guest = Client::connect(serving.address, &connector).await;
    let stays = guest.join(&meeting, Credential::Invitation(first)).await.unwrap();
    olga.ask(Request::Admit { participant: stays.participant }).await.unwrap();
    let mut other = Client::connect(serving.address, &connector).await;
    let removed = other.join(&meeting, Credential::Invitation(second.clone())).await.unwrap();
    olga.ask(Request::Remove { participant: removed.participant }).await.unwrap();
    let log = serving.kill();
    let secrets =
        ["Olga", "Budget", "Somebody", "127.0.0.1", "correct horse", meeting.0.as_str(), second.expose()];
    for word in secrets.into_iter().chain([removed.token.expose()]) {
        assert!(!log.contains(word), "{word} in the log:\n{log}");
    }
    assert!(log.contains("what=\"remove\""), "{log}");

    let begun = Instant::now();
    let serving = Serving::start(directory);
    let come_back = |token, name| Request::Join {
        meeting: meeting.clone(),
        credential: Credential::Return(token),
        name: text(name),
        key_package: None,
        insiders_key_package: None,
        seen: 0,
    };
    let mut olga = Client::connect(serving.address, &connector).await;
    assert!(matches!(olga.ask(come_back(organizer.token, "Olga")).await, Ok(Answer::Joined(_))));
    olga.wait(|event| matches!(event, Event::Admitted { .. })).await;
    let mut guest = Client::connect(serving.address, &connector).await;
    assert!(matches!(guest.ask(come_back(stays.token, "Guest")).await, Ok(Answer::Joined(_))));
    guest.wait(|event| matches!(event, Event::Admitted { .. })).await;
    assert!(begun.elapsed() < PATIENCE);
    let mut other = Client::connect(serving.address, &connector).await;
    assert_eq!(other.ask(come_back(removed.token, "Other")).await, Err(Refusal::Removed));
    let again = other.join(&meeting, Credential::Invitation(second)).await;
    assert_eq!(again.err(), Some(Refusal::Invitation));
    assert!(guest.ask(Request::Report { report: Bytes(vec![1]) }).await.is_ok());
}

#[tokio::test]
async fn the_operator_commands_while_the_relay_runs() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let serving = Serving::start(directory);
    let connector = connector(directory);
    let name = "Quendolin Mayerhofer";
    let add = |password: &str| run(&mut relay(directory, &["account", "add", name, "--outsider"]), password);
    assert!(!add("short\n").status.success());
    assert!(add("correct horse\n").status.success());
    assert!(!add("correct horse\n").status.success(), "the name is taken");
    let list = run(&mut relay(directory, &["account", "list"]), "");
    assert_eq!(String::from_utf8(list.stdout).unwrap(), format!("{name}\toutsider\n"));

    let mut client = Client::login(serving.address, &connector, name).await;
    assert!(client.ask(Request::Plan { title: text("Budget") }).await.is_ok());
    let export = run(&mut relay(directory, &["export", name]), "");
    let export: Value = serde_json::from_slice(&export.stdout).unwrap();
    assert_eq!(export["organizes"][0]["title"], "Budget");
    assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
    assert!(!export.to_string().contains("argon2"));

    assert!(run(&mut relay(directory, &["account", "password", name]), "another horse\n").status.success());
    let plan = Request::Plan { title: text("Another") };
    assert_eq!(client.ask(plan).await, Err(Refusal::NoSession), "another password ends sessions");
    let login = |password| Request::Login { account: text(name), password: secret(password) };
    assert_eq!(client.ask(login("correct horse")).await, Err(Refusal::WrongCredentials));
    assert!(client.ask(login("another horse")).await.is_ok());

    let forget = run(&mut relay(directory, &["forget", name]), "");
    let proof = String::from_utf8(forget.stdout).unwrap();
    assert!(forget.status.success(), "{proof}");
    assert!(proof.starts_with("erased: 1 account, 1 sessions, 1 meetings"), "{proof}");
    assert!(proof.ends_with("found: 0\n"), "{proof}");
    assert_eq!(client.ask(login("another horse")).await, Err(Refusal::WrongCredentials));
    assert!(!run(&mut relay(directory, &["forget", name]), "").status.success());
    // Nobody is told of an account that it is not there, because the folder is another one.
    let elsewhere = directory.join("elsewhere");
    for question in [&["export", name][..], &["forget", name], &["account", "list"]] {
        let answer = run(&mut relay(&elsewhere, question), "");
        assert!(!answer.status.success());
        let said = String::from_utf8(answer.stderr).unwrap();
        assert!(said.contains("no database") && !elsewhere.exists(), "{said}");
    }
}

#[test]
fn a_relay_that_is_told_nothing_says_what_it_can_do() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    let said = command.current_dir(directory.path()).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let help = String::from_utf8(said.stderr).unwrap();
    assert!(help.contains("serve") && help.contains("account"), "{help}");
    assert!(directory.path().read_dir().unwrap().next().is_none(), "it made nothing");
}

/// Whoever starts a relay with a wrong file hears which option names it.
#[test]
fn a_file_that_does_not_serve_is_told_with_its_option() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    for (arguments, told) in [
        (&["--page", empty][..], "relay: --page: the page has no index.html"),
        (&["--page", "nowhere"], "relay: --page: nowhere: "),
        (&["--cert", "nowhere.pem", "--key", "nowhere.pem"], "relay: --cert and --key: nowhere.pem: "),
    ] {
        let common = ["serve", "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
        let answer = run(&mut relay(directory.path(), &[&common[..], arguments].concat()), "");
        let said = String::from_utf8(answer.stderr).unwrap();
        assert!(!answer.status.success() && said.contains(told), "{said}");
    }
}

#[test]
fn the_report_is_the_same_as_json() {
    let report = Command::new(env!("CARGO_BIN_EXE_relay")).args(["data-report", "--json"]).output().unwrap();
    let report: Vec<Value> = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report.len(), layercast_relay::data::DATA.len());
    assert!(
        report
            .iter()
            .all(|datum| datum["legal_basis"].as_str().is_some_and(|basis| basis.starts_with("Art. 6")))
    );
}
