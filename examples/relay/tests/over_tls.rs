//! The relay's server by its real protocol: WebSockets over TLS, on loopback.

mod client;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use client::{Client, PATIENCE, connector, secret, text, tls};
use futures_util::SinkExt as _;
use layercast_meeting::{
    Answer, Bytes, Credential, Event, FromRelay, Group, Kind, LinkDescription, Refusal, Request,
};
use layercast_relay::desk::DeskConfig;
use layercast_relay::media_api::{MediaCommand, MediaEvent, MediaPort};
use layercast_relay::secrets::{PasswordCost, hash_password};
use layercast_relay::server::{ConnectionLimits, Server, ServerConfig, Tls};
use layercast_relay::store::Store;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

struct Relay {
    server: Server,
    port: MediaPort,
    directory: TempDir,
    connector: TlsConnector,
}

impl Relay {
    fn start(limits: ConnectionLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let hash = |password: &str| hash_password(&secret(password), PasswordCost::LEAST).unwrap();
        for name in ["Olga", "Max"] {
            store.add_account(name, hash("correct horse").expose(), false, 0).unwrap();
        }
        let tls = Tls::self_signed(directory.path(), vec!["localhost".into()]).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = ServerConfig {
            listen: any,
            metrics: Some(any),
            tls,
            limits,
            desk: DeskConfig::new(text("a cellar in Graz"), hash("nobody's")),
            verifiers: 1,
        };
        let (server, port) = Server::start(config, store).unwrap();
        let connector = connector(directory.path());
        Self { server, port, directory, connector }
    }

    async fn tls(&self) -> TlsStream<TcpStream> {
        tls(self.server.address, &self.connector).await
    }

    async fn connect(&self) -> Client {
        Client::connect(self.server.address, &self.connector).await
    }

    async fn login(&self, name: &str) -> Client {
        Client::login(self.server.address, &self.connector, name).await
    }

    /// What the media side was told next.
    async fn command(&self) -> MediaCommand {
        let commands = self.port.commands.clone();
        let command = tokio::task::spawn_blocking(move || commands.recv_timeout(PATIENCE));
        command.await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_meeting_from_its_planning_to_a_removal() {
    let relay = Relay::start(ConnectionLimits::default());
    let mut olga = relay.login("Olga").await;
    let Ok(Answer::Planned(meeting)) = olga.ask(Request::Plan { title: text("Budget") }).await else {
        panic!()
    };
    let invite = Request::Invite { meeting: meeting.clone() };
    let Ok(Answer::Invitation(code)) = olga.ask(invite).await else { panic!() };
    let organizer = olga.join(&meeting, Credential::Account).await.unwrap();
    olga.wait(|event| matches!(event, Event::Admitted { begins: true, .. })).await;
    assert!(matches!(relay.command().await, MediaCommand::OpenMeeting { .. }));
    assert!(matches!(relay.command().await, MediaCommand::Join { .. }));

    let mut max = relay.login("Max").await;
    let member = max.join(&meeting, Credential::Account).await.unwrap();
    let mut guest = relay.connect().await;
    let invited = guest.join(&meeting, Credential::Invitation(code.clone())).await.unwrap();
    let mut second = relay.connect().await;
    let again = second.join(&meeting, Credential::Invitation(code)).await;
    assert_eq!(again.err(), Some(Refusal::Invitation));

    for (epoch, (client, id)) in
        [(&mut max, member.participant), (&mut guest, invited.participant)].into_iter().enumerate()
    {
        let asked = olga.wait(|event| matches!(event, Event::Waiting(_))).await;
        assert!(matches!(asked, Event::Waiting(asked) if asked.key_package == Bytes(vec![1; 300])));
        olga.ask(Request::Admit { participant: id }).await.unwrap();
        client.wait(|event| matches!(event, Event::Admitted { .. })).await;
        let commit = Request::Commit {
            group: Group::Meeting,
            epoch: epoch as u64,
            message: Bytes(vec![2; 1000]),
            welcome: Some(Bytes(vec![3; 1000])),
            added: vec![id],
            removed: Vec::new(),
        };
        olga.ask(commit).await.unwrap();
        client.wait(|event| matches!(event, Event::Welcome { .. })).await;
        assert!(matches!(relay.command().await, MediaCommand::Join { participant, .. } if participant == id));
    }

    // The guest links and sends a camera, and may not share.
    let description = LinkDescription {
        ufrag: "u".into(),
        password: secret("p"),
        fingerprint: "sha-256 00".into(),
        addresses: Vec::new(),
    };
    guest.send(Request::Link(description.clone())).await;
    let MediaCommand::Link { reply, .. } = relay.command().await else { panic!() };
    relay.port.events.send(MediaEvent::Link { reply, result: Ok(description.clone()) });
    let Some(FromRelay::Answer { result, .. }) = guest.next().await else { panic!() };
    assert_eq!(result, Ok(Answer::Link(description)));
    let publish = |kind| Request::Publish { kind, member: 2, track: 0, layer_refresh: false };
    assert_eq!(guest.ask(publish(Kind::Screen)).await, Err(Refusal::NotAllowed));
    let Ok(Answer::Published(published)) = guest.ask(publish(Kind::Camera)).await else { panic!() };
    max.wait(|event| matches!(event, Event::Published(stream) if stream.ssrc == published.ssrc)).await;
    assert!(matches!(relay.command().await, MediaCommand::Publish { .. }));

    // A member is no organizer, until it is made one; then the first may be removed.
    let remove = |participant| Request::Remove { participant };
    assert_eq!(max.ask(remove(organizer.participant)).await, Err(Refusal::NotOrganizer));
    olga.ask(Request::HandOver { participant: member.participant }).await.unwrap();
    max.wait(|event| matches!(event, Event::Organizer { .. })).await;
    max.ask(remove(invited.participant)).await.unwrap();
    assert!(
        matches!(relay.command().await, MediaCommand::Leave { participant, .. } if participant == invited.participant)
    );
    guest.wait(|event| matches!(event, Event::Removed { .. })).await;
    assert_eq!(guest.next().await, None, "and its connection is closed");
    let back = second.join(&meeting, Credential::Return(invited.token)).await;
    assert_eq!(back.err(), Some(Refusal::Removed));
    max.ask(remove(organizer.participant)).await.unwrap();
    olga.wait(|event| matches!(event, Event::Removed { .. })).await;

    relay.server.stop().await;
}

#[tokio::test]
async fn connections_that_never_finish_tls_do_not_stop_a_login() {
    let limits = ConnectionLimits { handshakes: 100, ..ConnectionLimits::default() };
    let relay = Relay::start(limits);
    let mut half_open = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(relay.server.address).await.unwrap();
        // Some say nothing, and some begin to.
        if n % 2 == 0 {
            // The relay may have put an end to it already.
            let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
        }
        half_open.push(stream);
    }
    let begun = Instant::now();
    relay.login("Olga").await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(relay.server.metrics.to_text().contains("relay_evicted_handshakes_total 101"));
    relay.server.stop().await;
}

#[tokio::test]
async fn what_takes_too_long_is_closed() {
    let limits =
        ConnectionLimits { handshake_time: Duration::from_millis(200), ..ConnectionLimits::default() };
    let relay = Relay::start(limits);
    // One that never says anything, one that stops in the header, and one that stops between two requests.
    let mut silent = TcpStream::connect(relay.server.address).await.unwrap();
    let mut slow = relay.tls().await;
    slow.write_all(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let mut idle = relay.tls().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    let closed = async {
        // How a connection ends is the relay's choice.
        let _ = silent.read_to_end(&mut Vec::new()).await;
        let _ = slow.read_to_end(&mut Vec::new()).await;
        let _ = idle.read_to_end(&mut read).await;
    };
    tokio::time::timeout(Duration::from_secs(1), closed).await.expect("closed");
    assert!(read.ends_with(b"ok"));
    relay.server.stop().await;
}

#[tokio::test]
async fn connections_of_an_address_are_bounded() {
    let limits = ConnectionLimits { per_address: 3, ..ConnectionLimits::default() };
    let relay = Relay::start(limits);
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(relay.connect().await);
    }
    let mut fourth = TcpStream::connect(relay.server.address).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, fourth.read(&mut [0; 1])).await.expect("closed");
    assert!(matches!(read, Ok(0) | Err(_)));
    drop(clients);
    // Room is made as soon as the relay notices.
    let begun = Instant::now();
    loop {
        let stream = TcpStream::connect(relay.server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        if relay.connector.connect(name, stream).await.is_ok() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    relay.server.stop().await;
}

#[tokio::test]
async fn what_is_no_request_ends_its_connection_alone() {
    let relay = Relay::start(ConnectionLimits::default());
    let mut other = relay.connect().await;
    let too_long = format!("{{\"id\":1,\"ask\":\"{}\"}}", "x".repeat(layercast_meeting::MAX_MESSAGE));
    for message in [
        Message::text("{}"),
        Message::text("{\"id\":1,\"ask\":\"rule\"}"),
        Message::binary(vec![1, 2, 3]),
        Message::text(too_long),
    ] {
        let mut client = relay.connect().await;
        // The relay may close it while the message is on its way.
        let _ = client.socket.send(message).await;
        assert_eq!(client.next().await, None);
    }
    assert_eq!(other.ask(Request::Leave).await, Err(Refusal::NotNow));
    relay.server.stop().await;
}

#[tokio::test]
async fn a_relay_that_goes_down_says_so_and_keeps_what_it_had() {
    let relay = Relay::start(ConnectionLimits::default());
    let mut olga = relay.login("Olga").await;
    assert!(olga.ask(Request::Plan { title: text("Budget") }).await.is_ok());
    let Relay { server, port, directory, .. } = relay;
    let begun = Instant::now();
    let stopped = tokio::spawn(server.stop());
    assert_eq!(olga.next().await, Some(FromRelay::Event(Event::Closing)));
    assert_eq!(olga.next().await, None);
    drop(olga);
    stopped.await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
    assert!(port.commands.recv().is_err(), "the media side ends too");
    let account = Store::open(directory.path()).unwrap().export("Olga").unwrap().unwrap();
    assert_eq!(account["organizes"][0]["title"], "Budget");
}

#[tokio::test]
async fn figures_are_served_at_their_own_address_and_name_nobody() {
    let relay = Relay::start(ConnectionLimits::default());
    let mut olga = relay.login("Olga").await;
    // What was counted before this is answered can be read.
    assert_eq!(olga.ask(Request::Leave).await, Err(Refusal::NotNow));
    let get = async |mut stream: Box<dyn Stream>| {
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut read = Vec::new();
        // TLS may end without saying so.
        let _ = stream.read_to_end(&mut read).await;
        String::from_utf8(read).unwrap()
    };
    let stream = TcpStream::connect(relay.server.metrics_address.unwrap()).await.unwrap();
    let figures = get(Box::new(stream)).await;
    assert!(figures.contains("\nrelay_connections 1\n"));
    assert!(figures.contains("relay_requests_total{what=\"login\",refused=\"false\"} 1"));
    assert!(!figures.contains("Olga") && !figures.contains("127.0.0.1"));
    let public = get(Box::new(relay.tls().await)).await;
    assert!(public.starts_with("HTTP/1.1 404"));
    relay.server.stop().await;
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Stream for T {}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let relay = Relay::start(ConnectionLimits::default());
    // A ClientHello of TLS 1.1 with the suite that all have: TLS_RSA_WITH_AES_128_CBC_SHA.
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut hello = vec![0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    hello.extend(body);
    let mut stream = TcpStream::connect(relay.server.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
    assert_eq!(answer[..1], [0x15], "an alert");
    relay.server.stop().await;
}
