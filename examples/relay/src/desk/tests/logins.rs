//! Logins and sessions, and those who try too often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use layercast_meeting::{Answer, FromRelay, Numbered, Refusal, Request, Secret};

use super::{ConnectionId, Rig, secret, text};

fn login(name: &str, password: &str) -> Request {
    Request::Login { account: text(name), password: secret(password) }
}

fn session(rig: &mut Rig, connection: ConnectionId) -> Secret {
    match rig.ask(connection, login("Ann", "password")) {
        Ok(Answer::Session(session)) => session.token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_goes_on_until_its_time_comes() {
    let mut rig = Rig::new();
    rig.account("Ann");
    let first = rig.connect();
    let token = session(&mut rig, first);
    rig.jump(12 * 60 * 60 - 1);
    let second = rig.connect();
    let resumed = rig.ask(second, Request::Session { token: token.clone() });
    assert!(matches!(resumed, Ok(Answer::Session(session)) if session.expires_in == 1));
    rig.plan(second);
    rig.jump(1);
    let plan = Request::Plan { title: text("Late") };
    assert_eq!(rig.ask(second, plan), Err(Refusal::NoSession));
    assert_eq!(rig.refused("plan"), Some(Refusal::NoSession));
    assert_eq!(rig.ask(second, Request::Session { token }), Err(Refusal::NoSession));
    assert_eq!(rig.refused("session"), Some(Refusal::NoSession));
}

#[test]
fn a_logout_ends_the_session_on_all_connections() {
    let mut rig = Rig::new();
    rig.account("Ann");
    let [first, second] = [rig.connect(), rig.connect()];
    let token = session(&mut rig, first);
    rig.ask(second, Request::Session { token: token.clone() }).unwrap();
    assert_eq!(rig.ask(first, Request::Logout), Ok(Answer::Done));
    assert_eq!(rig.ask(second, Request::Logout), Err(Refusal::NoSession));
    assert_eq!(rig.ask(second, Request::Session { token }), Err(Refusal::NoSession));
}

#[test]
fn an_unknown_name_costs_as_much_as_a_wrong_password_and_reads_the_same() {
    let mut rig = Rig::new();
    rig.account("Ann");
    let connection = rig.connect();
    assert_eq!(rig.ask(connection, login("Ann", "wrong")), Err(Refusal::WrongCredentials));
    assert_eq!(rig.ask(connection, login("Nobody", "wrong")), Err(Refusal::WrongCredentials));
    // Not even with what the dummy hash would take.
    assert_eq!(rig.ask(connection, login("Nobody", "no password fits")), Err(Refusal::WrongCredentials));
    assert_eq!(rig.jobs.len(), 3, "each was verified");
    assert!(rig.log.iter().all(|event| event.what == "login" && event.participant.is_none()));
}

#[test]
fn an_account_is_not_tried_for_ever_from_many_addresses() {
    let mut rig = Rig::new();
    rig.account("Ann");
    let attempt = |rig: &mut Rig, n: u8, name| {
        let connection = rig.connect_from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        rig.ask(connection, login(name, "wrong"))
    };
    for n in 0..100 {
        assert_eq!(attempt(&mut rig, n, "Ann"), Err(Refusal::WrongCredentials));
    }
    assert_eq!(attempt(&mut rig, 101, "Ann"), Err(Refusal::TooMany));
    assert_eq!(rig.jobs.len(), 100, "nothing is verified beyond the bound");
    rig.jump(1);
    assert_eq!(attempt(&mut rig, 102, "Ann"), Err(Refusal::WrongCredentials));
    assert_eq!(attempt(&mut rig, 102, "Ann"), Err(Refusal::TooMany));
}

#[test]
fn one_who_guesses_from_one_network_keeps_nobody_else_out() {
    let mut rig = Rig::new();
    rig.account("Ann");
    let attempt = |rig: &mut Rig, n: u8| {
        let connection = rig.connect_from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        rig.ask(connection, login("Ann", "wrong"))
    };
    for _ in 0..10 {
        assert_eq!(attempt(&mut rig, 1), Err(Refusal::WrongCredentials));
    }
    for _ in 0..20 {
        assert_eq!(attempt(&mut rig, 1), Err(Refusal::TooMany));
    }
    assert_eq!(attempt(&mut rig, 2), Err(Refusal::WrongCredentials));
}

#[test]
fn an_address_does_not_try_many_accounts() {
    let mut rig = Rig::new();
    let network = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
    let mut verified = 0;
    for n in 0..50 {
        // Whoever has a network of IPv6 has many addresses.
        let connection = rig.connect_from(network(n));
        match rig.ask(connection, login(&format!("name {n}"), "wrong")) {
            Err(Refusal::WrongCredentials) => verified += 1,
            other => assert_eq!(other, Err(Refusal::TooMany)),
        }
    }
    assert_eq!(verified, 30);
    let elsewhere = rig.connect_from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(rig.ask(elsewhere, login("name", "wrong")), Err(Refusal::WrongCredentials));
}

#[test]
fn right_logins_are_not_counted_against_an_account() {
    let mut rig = Rig::new();
    rig.account("Ann");
    for n in 0..20 {
        let connection = rig.connect_from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        assert!(matches!(rig.ask(connection, login("Ann", "password")), Ok(Answer::Session(_))));
    }
}

#[test]
fn verifications_are_bounded_and_answers_stay_in_order() {
    let mut rig = Rig::new();
    rig.obliging = false;
    rig.account("Ann");
    for n in 0..40 {
        let connection = rig.connect_from(IpAddr::V4(Ipv4Addr::new(10, 0, 1, n)));
        let request = login(&format!("name {n}"), "wrong");
        rig.desk.handle_request(rig.now, connection, Numbered { id: 1, request });
        rig.desk.handle_request(rig.now, connection, Numbered { id: 2, request: Request::Logout });
        rig.drain();
    }
    assert_eq!(rig.jobs.len(), 32);
    let too_many = FromRelay::Answer { id: 1, result: Err(Refusal::TooMany) };
    assert_eq!(rig.inbox.values().filter(|inbox| inbox.first() == Some(&too_many)).count(), 8);
    assert_eq!(rig.inbox.len(), 8, "the others wait");
    for (job, ..) in std::mem::take(&mut rig.jobs) {
        rig.desk.handle_verified(rig.now, job, true);
        // A job is done once.
        rig.desk.handle_verified(rig.now, job, true);
    }
    rig.drain();
    assert_eq!(rig.inbox.len(), 40);
    for inbox in rig.inbox.values() {
        let ids: Vec<_> = inbox.iter().map(|m| matches!(m, FromRelay::Answer { id: 1, .. })).collect();
        assert_eq!(ids, [true, false]);
    }
}

#[test]
fn requests_are_bounded_and_a_flood_is_closed() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    for _ in 0..500 {
        assert_eq!(rig.ask(connection, Request::Leave), Err(Refusal::NotNow));
    }
    assert_eq!(rig.ask(connection, Request::Leave), Err(Refusal::TooMany));
    rig.jump(1);
    for _ in 0..50 {
        assert_eq!(rig.ask(connection, Request::Leave), Err(Refusal::NotNow));
    }
    for _ in 0..199 {
        assert_eq!(rig.ask(connection, Request::Leave), Err(Refusal::TooMany));
    }
    rig.desk.handle_request(rig.now, connection, Numbered { id: 1, request: Request::Leave });
    rig.drain();
    assert!(rig.closed.contains(&connection));
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let mut rig = Rig::new();
    rig.account("Ann");
    let idle = rig.connect();
    let used = rig.login("Ann");
    rig.pass(121);
    assert!(rig.closed.contains(&idle));
    assert!(!rig.closed.contains(&used));
}
