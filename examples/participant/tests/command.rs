//! The program as people start it, when something is wrong: it says what, and what to do.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output, Stdio};

use layercast_meeting::{Secret, Text};
use layercast_relay::desk::DeskConfig;
use layercast_relay::server::{ConnectionLimits, Server, ServerConfig, Tls};
use layercast_relay::store::Store;

/// Runs the program, which nobody types anything to.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_participant"));
    command.args(["--name", "Ada", "--seconds", "1"]).args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// An address at which nobody listens, and which no other test is given.
fn nowhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

#[test]
fn a_relay_that_is_not_there_is_named() {
    let link = format!("https://{}/m/abc#code=code", nowhere());
    let output = run(&["--join", &link]);
    assert_eq!(output.status.code(), Some(1), "it was never let in");
    let said = said(&output);
    assert_eq!(said.matches("check that it runs there").count(), 1, "once: {said}");
    assert!(said.contains("error: the relay was never reached"), "{said}");
}

#[test]
fn a_file_that_is_missing_is_found_before_a_meeting_is_planned() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let (relay, missing) = (format!("https://{}", nowhere()), directory.path().join("none"));
    let plan = ["--relay", &relay, "--plan", "Plans", "--account", "ada", "--password-file"];
    for kind in ["--video", "--share", "--audio"] {
        let output =
            run(&[&plan[..], &[password.to_str().unwrap(), kind, missing.to_str().unwrap()]].concat());
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains("none: No such file"), "{said}");
    }
}

#[test]
fn a_certificate_that_is_not_the_relays_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tls = Tls::self_signed(directory.path(), vec!["localhost".into()]).unwrap();
    let config = ServerConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        metrics: None,
        tls,
        limits: ConnectionLimits::default(),
        desk: DeskConfig::new(Text::new("here").unwrap(), Secret::new("no hash".into())),
        verifiers: 1,
        page: None,
    };
    let (server, _media) =
        runtime.block_on(async { Server::start(config, Store::in_memory().unwrap()) }).unwrap();
    let link = format!("https://{}/m/abc#code=code", server.address);
    for (link, expected) in [
        (format!("{link}&cert={}", "0".repeat(64)), "has another certificate than `cert=` in the link says"),
        (link, "no authority vouches for the certificate"),
    ] {
        let output = run(&["--join", &link]);
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{said}");
    }
    runtime.block_on(server.stop());
}
