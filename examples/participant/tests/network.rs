//! A meeting over the network of this machine: the relay's server, and the program that people start.
//!
//! The relay is a process of its own, which this test starts of itself, so that it can crash. For that, the test has a
//! `main` of its own.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use layercast::relay::RoomConfig;
use layercast_meeting::{Secret, Text};
use layercast_participant::shell::record::read_records;
use layercast_participant::shell::sound;
use layercast_relay::desk::DeskConfig;
use layercast_relay::media::Media;
use layercast_relay::media_api::MediaConfig;
use layercast_relay::secrets::{PasswordCost, hash_password};
use layercast_relay::server::{ConnectionLimits, Server, ServerConfig, Tls};
use layercast_relay::store::Store;
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long anything may take: machines that test many things at once are slow.
const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "correct horse";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay", directory, port] => serve(directory.as_ref(), port.parse()?),
        // Who asks what tests there are.
        [.., "--list"] | ["--list", ..] => Ok(()),
        _ => a_meeting_a_removal_and_a_crash(),
    }
}

fn hash(password: &str) -> Result<Secret> {
    Ok(hash_password(&Secret::new(password.into()), PasswordCost::LEAST)?)
}

/// Is a relay until it is killed.
fn serve(directory: &Path, port: u16) -> Result<()> {
    let tls = Tls::self_signed(directory, vec!["localhost".into()])?;
    let fingerprint = tls.fingerprint;
    let place = Text::new("this machine").ok_or("no text")?;
    let config = ServerConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        metrics: None,
        tls,
        page: None,
        limits: ConnectionLimits::default(),
        desk: DeskConfig::new(place, hash("nobody's")?),
        verifiers: 1,
    };
    let udp = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let media = MediaConfig { udp, public: Vec::new(), threads: 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let (server, commands) = Server::start(config, Store::open(directory)?)?;
        let _media = Media::start(&media, &RoomConfig::default(), commands)?;
        println!("https://{}#cert={fingerprint}", server.address);
        std::future::pending().await
    })
}

/// A process that goes with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the relay, and says where it is.
fn relay(directory: &Path, port: u16) -> Result<(Process, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.arg("relay").arg(directory).arg(port.to_string()).stdout(Stdio::piped()).spawn()?;
    let mut relay = Process(child);
    let mut address = String::new();
    BufReader::new(relay.0.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    Ok((relay, address.trim().to_owned()))
}

fn unix_now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64())
}

/// A participant's program, and the JSON lines that it printed.
struct Person {
    name: &'static str,
    process: Process,
    input: ChildStdin,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Person {
    fn start(name: &'static str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_participant"));
        command.args(["--name", name, "--json", "--lines", "200"]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) =
            (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let written = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                written.lock().unwrap().push(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        Ok(Self { name, process: Process(child), input, lines })
    }

    /// With a camera and a voice.
    fn start_sending(name: &'static str, arguments: &[&str]) -> Result<Self> {
        let sends = ["--video", "scene", "--size", "160x90", "--audio", "tone", "--window", "160x90"];
        Self::start(name, &[&sends, arguments].concat())
    }

    fn say(&mut self, command: &str) -> Result<()> {
        Ok(writeln!(self.input, "{command}")?)
    }

    /// Notices of this name.
    fn notices(&self, name: &str) -> Vec<Value> {
        self.lines.lock().unwrap().iter().filter(|line| line["notice"] == name).cloned().collect()
    }

    /// Waits for something that has to come.
    fn wait<T>(&self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            if start.elapsed() > PATIENCE {
                let lines = self.lines.lock().unwrap();
                let last: Vec<_> = lines.iter().rev().take(20).map(ToString::to_string).collect();
                return Err(format!(
                    "{}: {what} never came. The last lines:\n{}",
                    self.name,
                    last.join("\n")
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Since this time, something of this kind came of somebody, and what it was shown as.
    fn gets(&self, who: &str, kind: &str, since: f64) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        let got = lines.iter().rev().take_while(|line| line["unix"].as_f64() > Some(since)).find(|line| {
            let name = line["who"].as_str().is_some_and(|name| name.starts_with(who));
            line["line"] == "stream" && name && line["kind"] == kind && line["count"].as_u64() > Some(0)
        })?;
        Some(got["target"].as_str().unwrap_or_default().to_owned())
    }

    /// Frames of somebody's camera that it signed for, as the last line about it says.
    fn attested(&self, who: &str) -> u64 {
        let lines = self.lines.lock().unwrap();
        let is_it = |line: &&Value| line["who"].as_str().is_some_and(|name| name.starts_with(who));
        let mut last = lines.iter().rev().filter(is_it).filter(|line| line["kind"] == "camera");
        last.next().and_then(|line| line["attested"].as_u64()).unwrap_or(0)
    }

    /// Waits until everybody else is seen and heard, as lines after this time say.
    fn meets(&self, others: &[&str], since: f64) -> Result<()> {
        for other in others {
            for kind in ["camera", "voice"] {
                self.wait(&format!("the {kind} of {other}"), |it| it.gets(other, kind, since))?;
            }
        }
        Ok(())
    }

    fn epoch(&self) -> (u64, u64) {
        let last = self.notices("epoch").pop().unwrap_or_default();
        (last["epoch"].as_u64().unwrap_or(0), last["members"].as_u64().unwrap_or(0))
    }

    /// What others watch of the camera, as this sender was told last.
    fn demand(&self) -> Vec<String> {
        let demands = self.notices("demand");
        let last = demands.iter().rev().find(|demand| demand["kind"] == "camera");
        let layers = last.and_then(|demand| demand["layers"].as_array()).cloned().unwrap_or_default();
        layers.iter().filter_map(|layer| layer.as_str().map(Into::into)).collect()
    }

    /// Waits for the program to end by itself.
    fn ends(mut self) -> Result<Vec<Value>> {
        let start = Instant::now();
        while self.process.0.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                return Err(format!("{} did not end", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The thread that reads may not be through.
        self.wait("the end", |it| it.notices("ended").pop())?;
        let lines = self.lines.lock().unwrap().clone();
        Ok(lines)
    }
}

fn a_meeting_a_removal_and_a_crash() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (data, password) = (directory.path().join("data"), directory.path().join("password"));
    let recorded = directory.path().join("recorded");
    std::fs::create_dir(&data)?;
    std::fs::write(&password, PASSWORD)?;
    {
        let mut store = Store::open(&data)?;
        for name in ["ada", "linus"] {
            store.add_account(name, hash(PASSWORD)?.expose(), false, 0)?;
        }
    }
    let (relay_process, address) = relay(&data, 0)?;
    let password = password.to_str().ok_or("no path")?;

    // Three join, and each sees and hears the other two.
    let plans = ["--relay", &address, "--plan", "A meeting", "--guests", "1", "--admit", "all"];
    let ada = ["--account", "ada", "--password-file", password];
    let mut ada = Person::start_sending("Ada", &[&plans[..], &ada].concat())?;
    let link = |notice| move |it: &Person| Some(it.notices(notice).pop()?["link"].as_str()?.to_owned());
    let invitation = ada.wait("an invitation", link("invitation"))?;
    let meeting = ada.wait("the meeting's link", link("planned"))?;
    let mut grace = Person::start_sending("Grace", &["--join", &invitation])?;
    let linus_joins = ["--join", &meeting, "--account", "linus", "--password-file", password];
    let records = ["--record", recorded.to_str().ok_or("no path")?];
    let linus = Person::start_sending("Linus", &[&linus_joins[..], &records].concat())?;
    ada.meets(&["Grace", "Linus"], 0.0)?;
    grace.meets(&["Ada", "Linus"], 0.0)?;
    linus.meets(&["Ada", "Grace"], 0.0)?;
    let code = |it: &Person| it.epoch();
    assert_eq!([code(&grace), code(&linus)], [code(&ada); 2], "all are in one epoch");
    assert_eq!(ada.epoch().1, 3);
    for (it, other) in [(&ada, "Grace"), (&grace, "Ada")] {
        it.wait(&format!("what {other} signs for"), |it| (it.attested(other) > 100).then_some(()))?;
    }

    // Nobody looks at Linus' camera in more than the smallest size, so nothing else of it is coded.
    let above = |layers: &[String]| layers.iter().any(|layer| !layer.starts_with("S0"));
    linus.wait("a wish for more than the smallest pictures", |it| above(&it.demand()).then_some(()))?;
    ada.say("window 40x22")?;
    grace.say("window 40x22")?;
    linus.wait("a wish for the smallest pictures alone", |it| {
        let demand = it.demand();
        (!demand.is_empty() && !above(&demand)).then_some(())
    })?;
    let small = unix_now()?;
    ada.wait("the smallest pictures of Linus", |it| {
        it.gets("Linus", "camera", small).filter(|target| target.starts_with("S0"))
    })?;

    // Ada removes Linus: his pictures end, and the keys are others.
    let number = linus.notices("joined").first().and_then(|joined| joined["participant"].as_u64());
    let (before, removed) = (ada.epoch().0, unix_now()?);
    ada.say(&format!("remove {}", number.ok_or("no number")?))?;
    let said = linus.ends()?;
    for it in [&ada, &grace] {
        it.wait("an epoch without Linus", |it| (it.epoch().0 > before && it.epoch().1 == 2).then_some(()))?;
        let gone = it.notices("gone");
        assert!(gone.iter().any(|gone| gone["name"] == "Linus"), "{}: {gone:?}", it.name);
    }
    let first = said.first().ok_or("no lines")?;
    let zero = first["unix"].as_f64().zip(first["t"].as_f64()).map(|(unix, t)| unix - t);
    let until_removed = removed - zero.ok_or("no times")?;
    let last = |file: &str| -> Result<f64> {
        let records = read_records(&recorded.join(file))?;
        assert!(records.len() > 50, "{file} has {} records", records.len());
        Ok(records.last().map_or(0.0, |(at, ..)| at.as_secs_f64()) - until_removed)
    };
    for file in ["packets.bin", "sound.bin"] {
        let after = last(file)?;
        println!("{file}: the last record is of {:.0} ms after the removal", after * 1000.0);
        assert!(after < 1.0, "{file} ends {after} s after the removal");
    }

    let files = std::fs::read_dir(&recorded)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let voices: Vec<_> =
        files.iter().filter(|path| path.extension().is_some_and(|it| it == "opus")).collect();
    assert_eq!(voices.len(), 2, "of Ada and Grace: {files:?}");
    for path in voices {
        assert!(sound::read(path)?.len() > 50);
    }

    // The relay crashes, and comes back: everybody is in the same epoch, and sees and hears again.
    let (epoch, port) = (ada.epoch(), address.split(['#', ':']).nth(2).ok_or("no port")?.parse()?);
    let crashed = Instant::now();
    drop(relay_process);
    for it in [&ada, &grace] {
        it.wait("the loss of the connection", |it| it.notices("disconnected").pop())?;
    }
    let (_relay, again) = relay(&data, port)?;
    assert_eq!(again, address, "by the same certificate");
    // Lines are about the 200 ms before them, and those may be older than the crash.
    let restarted = unix_now()? + 0.2;
    ada.meets(&["Grace"], restarted)?;
    grace.meets(&["Ada"], restarted)?;
    let back = crashed.elapsed();
    println!("all are back {} ms after the crash", back.as_millis());
    assert!(back < Duration::from_secs(10), "{back:?}");
    assert_eq!([ada.epoch(), grace.epoch()], [epoch; 2], "with the keys that they had");

    // The relay remembers whom it is not to let in.
    let said = Person::start("Linus", &linus_joins)?.ends()?;
    let refused = said.iter().find(|line| line["notice"] == "ended").ok_or("no end")?;
    assert!(refused["why"].as_str().is_some_and(|why| why.contains("removed")), "{refused}");
    assert!(said.iter().all(|line| line["notice"] != "admitted"));

    for name in ["forged", "not_attested"] {
        assert!(ada.notices(name).is_empty() && grace.notices(name).is_empty(), "all are who they say");
    }
    ada.say("end")?;
    ada.ends()?;
    grace.ends()?;
    Ok(())
}
