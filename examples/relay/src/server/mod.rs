//! HTTPS, WebSockets, and the threads around the desk.
//!
//! `/ws` is the WebSocket, `/healthz` answers `ok`, and everything else is the page for browsers, if there is one. Figures for Prometheus are served in plain HTTP on an address of their
//! own (`/metrics`), and only if the operator names one: they are no secret of anybody's, but how busy the relay is is not
//! everybody's business, and behind a proxy even strangers come from the loopback address.

mod core;
mod gate;
mod metrics;
mod page;
mod socket;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State, WebSocketUpgrade};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use layercast_meeting::MAX_MESSAGE;
use tokio::sync::mpsc;

pub use gate::ConnectionLimits;
use gate::Gate;
pub use metrics::{Counter, Metrics};
pub use page::{Page, PageError};
pub use tls::{Fingerprint, Tls, TlsError};

use self::core::{Clock, Core, Input, verify};
use crate::desk::{ConnectionId, Desk, DeskConfig};
use crate::media_api::{MediaEvents, MediaPort};
use crate::store::{Store, StoreError};

/// How long connections have to end when the relay goes down.
const FLUSH: Duration = Duration::from_secs(2);
/// Requests that wait for the desk. Connections wait in turn.
const INPUTS: usize = 1024;
/// The longest header of an HTTP request, in bytes.
const HEADER: usize = 16 * 1024;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// An address is not to be had.
    #[error("{0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A thread is not to be had.
    #[error("no thread: {0}")]
    Thread(io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a server needs.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// Where it serves figures, if it does.
    pub metrics: Option<SocketAddr>,
    /// TLS.
    pub tls: Tls,
    /// The page for browsers, if it is served.
    pub page: Option<Page>,
    /// Bounds of connections.
    pub limits: ConnectionLimits,
    /// The desk's part.
    pub desk: DeskConfig,
    /// How many passwords are verified at a time, each with its own memory.
    pub verifiers: usize,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it serves figures.
    pub metrics_address: Option<SocketAddr>,
    /// Its figures.
    pub metrics: Arc<Metrics>,
    handle: axum_server::Handle<SocketAddr>,
    gate: Gate,
    inputs: mpsc::Sender<Input>,
    /// Closed when all connections are.
    open: mpsc::Receiver<()>,
    core: std::thread::JoinHandle<()>,
    tasks: Vec<tokio::task::JoinHandle<io::Result<()>>>,
}

#[derive(Clone)]
struct App {
    inputs: mpsc::Sender<Input>,
    last: Arc<AtomicU64>,
    open: mpsc::Sender<()>,
}

impl Server {
    /// Starts a server in the running tokio runtime, over a store. The media side gets the port.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(config: ServerConfig, store: Store) -> Result<(Self, MediaPort), ServerError> {
        let clock = Clock::new();
        let metrics = Metrics::new();
        let desk = Desk::new(clock.now(), store, config.desk)?;
        let (inputs, desk_inputs) = mpsc::channel(INPUTS);
        let (media_sender, media_events) = mpsc::unbounded_channel();
        let (media_commands, commands) = crossbeam_channel::unbounded();
        let (verifications, jobs) = crossbeam_channel::unbounded();
        for number in 0..config.verifiers.max(1) {
            let (jobs, inputs) = (jobs.clone(), inputs.clone());
            spawn(format!("password-{number}"), move || verify(&jobs, &inputs))?;
        }
        let core = Core {
            desk,
            clock,
            inputs: desk_inputs,
            media_events,
            media_commands,
            verifications,
            metrics: metrics.clone(),
        };
        let core = spawn("desk".into(), move || core.run())?;

        let listener = listen(config.listen)?;
        let address = listener.local_addr().map_err(|error| ServerError::Listen(config.listen, error))?;
        let (open_sender, open) = mpsc::channel(1);
        let app = App { inputs: inputs.clone(), last: Arc::default(), open: open_sender };
        let router = Router::new().route("/healthz", get(|| async { "ok" })).route("/ws", get(upgrade));
        let mut router = router.with_state(app);
        if let Some(page) = config.page {
            router = router.fallback(get(async move |uri: Uri, headers: HeaderMap| page.get(&uri, &headers)));
        }
        let handle = axum_server::Handle::new();
        let gate = Gate::new(config.limits, config.tls.config, metrics.clone());
        let server = axum_server::from_tcp(listener).map_err(|error| ServerError::Listen(address, error))?;
        let mut server = server.acceptor(gate.clone()).handle(handle.clone());
        // The server's own way to HTTP/1 alone takes no WebSocket.
        let mut http = Builder::new(TokioExecutor::new()).http1_only();
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.limits.handshake_time)
            .max_buf_size(HEADER);
        *server.http_builder() = http;
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = vec![tokio::spawn(server.serve(service))];

        let mut metrics_address = None;
        if let Some(wanted) = config.metrics {
            let listener = listen(wanted)?;
            metrics_address =
                Some(listener.local_addr().map_err(|error| ServerError::Listen(wanted, error))?);
            let shown = metrics.clone();
            let router = Router::new().route("/metrics", get(move || std::future::ready(shown.to_text())));
            let server =
                axum_server::from_tcp(listener).map_err(|error| ServerError::Listen(wanted, error))?;
            tasks.push(tokio::spawn(server.handle(handle.clone()).serve(router.into_make_service())));
        }
        let server = Self { address, metrics_address, metrics, handle, gate, inputs, open, core, tasks };
        Ok((server, MediaPort { commands, events: MediaEvents(media_sender) }))
    }

    /// Takes no more connections, tells everybody, and waits for at most two seconds until all that was said is sent.
    pub async fn stop(mut self) {
        self.handle.graceful_shutdown(Some(FLUSH));
        self.gate.end_handshakes();
        let flushed = async {
            // If the desk is gone already, there is nobody to tell.
            let _ = self.inputs.send(Input::Shutdown).await;
            // Nothing is ever sent: this waits for the last sender to go, and the tasks end by the handle.
            while self.open.recv().await.is_some() {}
            for task in &mut self.tasks {
                let _ = task.await;
            }
            let _ = tokio::task::spawn_blocking(|| self.core.join()).await;
        };
        // What is not sent by then is lost.
        let _ = tokio::time::timeout(FLUSH, flushed).await;
    }
}

async fn upgrade(
    State(app): State<App>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let connection = ConnectionId(app.last.fetch_add(1, Ordering::Relaxed));
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(async move |socket| {
        let _open = app.open;
        socket::run(socket, connection, remote.ip(), app.inputs).await;
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error| ServerError::Listen(address, error))
}

fn spawn(
    name: String,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, ServerError> {
    std::thread::Builder::new().name(name).spawn(run).map_err(ServerError::Thread)
}
