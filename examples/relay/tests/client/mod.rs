//! A client of the protocol, for tests.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use layercast_meeting::{
    Admission, Answer, Bytes, Credential, Event, FromRelay, MeetingId, Numbered, Refusal, Request, Secret,
    Text,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// So long a test waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text.into())
}

/// TLS that trusts the relay of a data directory.
pub fn connector(directory: &Path) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("certificate.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

pub async fn tls(address: SocketAddr, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// A participant's connection.
pub struct Client {
    pub socket: WebSocketStream<TlsStream<TcpStream>>,
    /// What happened and nobody asked for yet.
    pub events: Vec<Event>,
    last: u32,
}

impl Client {
    pub async fn connect(address: SocketAddr, connector: &TlsConnector) -> Self {
        let url = format!("wss://localhost:{}/ws", address.port());
        let (socket, _) = tokio_tungstenite::client_async(url, tls(address, connector).await).await.unwrap();
        Self { socket, events: Vec::new(), last: 0 }
    }

    pub async fn login(address: SocketAddr, connector: &TlsConnector, name: &str) -> Self {
        let mut client = Self::connect(address, connector).await;
        let request = Request::Login { account: text(name), password: secret("correct horse") };
        assert!(matches!(client.ask(request).await, Ok(Answer::Session(_))));
        client
    }

    /// What the relay says next, or nothing if it closed the connection.
    pub async fn next(&mut self) -> Option<FromRelay> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("in time")?;
            match message.ok()? {
                Message::Text(text) => return Some(FromRelay::parse(text.as_str()).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub async fn send(&mut self, request: Request) {
        self.last += 1;
        let numbered = Numbered { id: self.last, request };
        self.socket.send(Message::text(numbered.to_text())).await.unwrap();
    }

    pub async fn ask(&mut self, request: Request) -> Result<Answer, Refusal> {
        self.send(request).await;
        loop {
            match self.next().await.expect("an answer") {
                FromRelay::Answer { id, result } => {
                    assert_eq!(id, self.last);
                    return result;
                }
                FromRelay::Event(event) => self.events.push(event),
            }
        }
    }

    /// Waits for an event that fits, and forgets those before it.
    pub async fn wait(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            while !self.events.is_empty() {
                let event = self.events.remove(0);
                if fits(&event) {
                    return event;
                }
            }
            match self.next().await.expect("an event") {
                FromRelay::Event(event) => self.events.push(event),
                FromRelay::Answer { .. } => panic!("an answer to nothing"),
            }
        }
    }

    pub async fn join(&mut self, meeting: &MeetingId, credential: Credential) -> Result<Admission, Refusal> {
        let request = Request::Join {
            meeting: meeting.clone(),
            credential,
            name: text("Somebody"),
            key_package: Some(Bytes(vec![1; 300])),
            insiders_key_package: None,
            seen: 0,
        };
        match self.ask(request).await? {
            Answer::Joined(admission) => Ok(admission),
            other => panic!("{other:?}"),
        }
    }
}
