//! The relay's command: see [`layercast_relay`].

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use layercast::relay::RoomConfig;
use layercast_meeting::Secret;
use layercast_relay::cli::{self, Cli, Command, ServeArgs};
use layercast_relay::desk::DeskConfig;
use layercast_relay::files;
use layercast_relay::media::Media;
use layercast_relay::media_api::MediaConfig;
use layercast_relay::secrets::{PasswordCost, hash_password, token};
use layercast_relay::server::{ConnectionLimits, Page, Server, ServerConfig, Tls};
use layercast_relay::store::{HistoryRule, Store};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        command => cli::run(&command, &mut std::io::stdout().lock()).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &ServeArgs) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&args.log)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if args.log_json {
        log.json().init();
    } else {
        log.init();
    }
    raise_open_files();

    let directory = &args.data.data;
    files::make_private_directory(directory)?;
    let store = Store::open(directory)?;
    let tls = match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => {
            Tls::from_files(certificate, key).map_err(|error| format!("--cert and --key: {error}"))?
        }
        _ => {
            let mut names = vec!["localhost".to_owned()];
            names.extend(args.public.iter().map(ToString::to_string));
            Tls::self_signed(directory, names)?
        }
    };
    let fingerprint = tls.fingerprint;
    // Nobody has this password: it is what unknown accounts are compared with.
    let dummy_hash: Secret = hash_password(&token()?, PasswordCost::OWASP)?;
    let desk = DeskConfig {
        session: u64::from(args.session_hours) * 60 * 60,
        history: args.history.map_or(HistoryRule::Off, HistoryRule::Days),
        ..DeskConfig::new(args.region.clone(), dummy_hash)
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let config = ServerConfig {
        listen: args.listen,
        metrics: args.metrics,
        tls,
        page: args.page.as_deref().map(Page::load).transpose().map_err(|error| format!("--page: {error}"))?,
        limits: ConnectionLimits::default(),
        desk,
        verifiers: (processors / 4).max(1),
    };

    let media = MediaConfig {
        udp: args.udp,
        public: args.public.clone(),
        threads: args.threads.unwrap_or(processors).max(1),
    };

    let mut room = RoomConfig::default();
    // What nobody watches any more is coded for two seconds at most, the ways to and from the relay among them.
    room.demand.spatial_linger = Duration::from_millis(1500);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (server, port) = Server::start(config, store)?;
        let media = Media::start(&media, &room, port)?;
        let totals = media.totals();
        server.metrics.register(move |text| totals.write(text));
        let mut said = format!(
            "relay on https://{}, media on udp://{}, certificate {fingerprint}\n\
             link of a meeting: https://HOST:{}/m/MEETING#code=CODE&cert={fingerprint}\n",
            server.address,
            media.address(),
            server.address.port()
        );
        if let Some(address) = server.metrics_address {
            said += &format!("figures on http://{address}/metrics\n");
        }
        // It goes on even if nobody reads this.
        let _ = std::io::stdout().write_all(said.as_bytes());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("the relay goes down");
        server.stop().await;
        media.join();
        Ok(())
    })
}

/// Each connection is an open file, and systems begin with few.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "the number of open files stays as it is");
    }
}
