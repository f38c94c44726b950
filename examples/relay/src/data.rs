//! What the relay knows about people: each datum, what for, by which right, where, for how long, and how it is protected.
//!
//! This table is the only place that says so. Tests compare it with the columns of the database and with `docs/DATA.md`,
//! so that no column is left out.

use std::fmt::Write as _;

use serde::Serialize;

/// Something that the relay knows about people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Datum {
    /// What it is.
    pub datum: &'static str,
    /// Who makes the relay process it.
    pub by: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// Article of the GDPR.
    pub legal_basis: &'static str,
    /// The columns of the database, as `table.column`; nothing if it is stored elsewhere, or in memory alone.
    pub columns: &'static [&'static str],
    /// Where it is, if not in the database.
    pub place: &'static str,
    /// For how long.
    pub retention: &'static str,
    /// How it is protected.
    pub protection: &'static str,
}

const CONTRACT: &str =
    "Art. 6(1)(b), or (f) for a guest of somebody else: the meeting that the person takes part in";
const SECURITY: &str = "Art. 6(1)(f), recital 49: security of the network";
const OPERATOR: &str = "the operator, by the command `relay account`";
const RELAY: &str = "the relay, for its operator";
const UNTIL_END: &str = "until the meeting ends";
const DISK: &str = "file for the relay's user alone (0600); readable on the disk: encrypt it";
const HASHED: &str = "SHA-256 of 258 random bits: the token itself is not stored";

/// All of it.
pub const DATA: &[Datum] = &[
    Datum {
        datum: "Name of an account, whether it is of another organization, and when it was made",
        by: OPERATOR,
        purpose: "log in; know members from guests and outsiders",
        legal_basis: CONTRACT,
        columns: &["accounts.id", "accounts.name", "accounts.outsider", "accounts.created"],
        place: "",
        retention: "until `relay account remove` or `relay forget`",
        protection: DISK,
    },
    Datum {
        datum: "Password of an account, as a hash",
        by: OPERATOR,
        purpose: "log in",
        legal_basis: CONTRACT,
        columns: &["accounts.password"],
        place: "",
        retention: "until it is changed, or the account is removed",
        protection: "Argon2id, 19 MiB, 2 passes, with a salt of its own; attempts are limited",
    },
    Datum {
        datum: "Sessions of an account: hash of the token, and when it ends",
        by: "the person, who logs in",
        purpose: "act without giving the password again",
        legal_basis: CONTRACT,
        columns: &["sessions.hash", "sessions.account", "sessions.expires"],
        place: "",
        retention: "`--session-hours` (12), until the person logs out, or the password is changed; deleted within an hour",
        protection: HASHED,
    },
    Datum {
        datum: "A meeting: title, organizer's account, times, whether it is locked",
        by: "the organizer, who plans it",
        purpose: "hold the meeting, and go on with it after a crash",
        legal_basis: CONTRACT,
        columns: &[
            "meetings.id",
            "meetings.title",
            "meetings.organizer",
            "meetings.locked",
            "meetings.created",
            "meetings.started",
            "meetings.participants",
            "meetings.last_message",
            "meetings.meeting_epoch",
            "meetings.insiders_epoch",
        ],
        place: "",
        retention: "until the meeting ends; 90 days if nobody attends",
        protection: DISK,
    },
    Datum {
        datum: "Invitations: hash of the code, and whether it was used",
        by: "the organizer, who invites",
        purpose: "let each invitation serve once",
        legal_basis: CONTRACT,
        columns: &["invitations.hash", "invitations.meeting", "invitations.used"],
        place: "",
        retention: UNTIL_END,
        protection: "SHA-256 of 132 random bits: the code itself is not stored",
    },
    Datum {
        datum: "Roster of a meeting: number, account if any, rights, whether somebody waits, is in, left or was removed",
        by: "the person, who knocks",
        purpose: "let people come back after a loss of connection or a crash, and nobody who was removed",
        legal_basis: CONTRACT,
        columns: &[
            "roster.meeting",
            "roster.participant",
            "roster.account",
            "roster.outsider",
            "roster.token",
            "roster.state",
            "roster.was_in",
            "roster.voice",
            "roster.camera",
            "roster.share",
            "roster.meeting_since",
            "roster.insiders_since",
        ],
        place: "",
        retention: UNTIL_END,
        protection: HASHED,
    },
    Datum {
        datum: "Messages of MLS: ciphertext, and who sent them",
        by: "participants' programs",
        purpose: "deliver them in order to those who were away",
        legal_basis: CONTRACT,
        columns: &[
            "messages.meeting",
            "messages.number",
            "messages.insiders",
            "messages.sender",
            "messages.message",
        ],
        place: "",
        retention: "until the meeting ends; the last 20,000 or 16 MiB of a meeting",
        protection: "end-to-end encrypted: the relay has no key",
    },
    Datum {
        datum: "Limits of cameras: who set which for whom",
        by: "the camera's owner, or the organizer",
        purpose: "forward no more of a camera than its owner wants to show",
        legal_basis: CONTRACT,
        columns: &[
            "camera_limits.meeting",
            "camera_limits.owner",
            "camera_limits.audience",
            "camera_limits.max_spatial_id",
        ],
        place: "",
        retention: UNTIL_END,
        protection: DISK,
    },
    Datum {
        datum: "History of meetings: title, times, names of accounts that took part",
        by: "the operator, who switches it on by `--history DAYS`",
        purpose: "the operator's own, which participants are told when they join",
        legal_basis: "Art. 6(1)(c) or (f), which the operator has to have: off unless it is switched on",
        columns: &[
            "history.id",
            "history.title",
            "history.started",
            "history.ended",
            "history_people.history",
            "history_people.name",
        ],
        place: "",
        retention: "`--history` days, enforced every hour; until `relay forget`, or a start without `--history`",
        protection: DISK,
    },
    Datum {
        datum: "Name that somebody goes by in a meeting",
        by: "the person, who knocks",
        purpose: "show the organizer who is at the door",
        legal_basis: CONTRACT,
        columns: &[],
        place: "memory alone",
        retention: UNTIL_END,
        protection: "never written to the disk or the log",
    },
    Datum {
        datum: "Network addresses of participants",
        by: RELAY,
        purpose: "carry packets; count attempts to log in, and connections",
        legal_basis: SECURITY,
        columns: &[],
        place: "memory alone; attempts are counted in a table of 8192 places under a secret hash",
        retention: "as long as the connection; an attempt to log in counts for a minute",
        protection: "never written to the disk or the log; other participants do not learn them",
    },
    Datum {
        datum: "What windows, network and processor are like",
        by: "participants' programs",
        purpose: "forward what fits",
        legal_basis: CONTRACT,
        columns: &[],
        place: "memory alone",
        retention: "until the participant leaves",
        protection: "no other participant gets it but as the layers that are asked of a sender",
    },
    Datum {
        datum: "Sound, pictures and messages",
        by: "participants",
        purpose: "forward them",
        legal_basis: CONTRACT,
        columns: &[],
        place: "memory alone",
        retention: "a second or so, for retransmissions",
        protection: "end-to-end encrypted: the relay has no key",
    },
    Datum {
        datum: "Log: what was done or refused, by a participant's number and a meeting's short name that changes with each start",
        by: RELAY,
        purpose: "find faults and attacks",
        legal_basis: SECURITY,
        columns: &[],
        place: "standard error: where the operator's system keeps it",
        retention: "the operator's system decides",
        protection: "no names, addresses, titles, tokens or keys",
    },
];

/// The table as Markdown.
pub fn to_markdown() -> String {
    let mut text = String::from(
        "| What | By whom | What for | Legal basis (GDPR) | Where | How long | Protection |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for datum in DATA {
        let Datum { datum: what, by, purpose, legal_basis, columns, place, retention, protection } = datum;
        let columns = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {what} | {by} | {purpose} | {legal_basis} | {columns}{place} | {retention} | {protection} |"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::Store;

    #[test]
    fn every_column_of_the_database_is_in_the_table_once() {
        let columns = Store::in_memory().unwrap().columns().unwrap();
        let columns: Vec<_> = columns.iter().map(|(table, column)| format!("{table}.{column}")).collect();
        let told: Vec<_> = DATA.iter().flat_map(|datum| datum.columns).map(ToString::to_string).collect();
        let once: BTreeSet<_> = told.iter().collect();
        assert_eq!(once.len(), told.len(), "a column is told twice");
        assert_eq!(once, columns.iter().collect());
    }

    #[test]
    fn the_document_has_the_table() {
        let document = include_str!("../docs/DATA.md");
        assert!(document.contains(&to_markdown()), "docs/DATA.md is to contain:\n{}", to_markdown());
    }

    #[test]
    fn every_field_is_filled() {
        for datum in DATA {
            assert!(datum.columns.is_empty() != datum.place.is_empty(), "{}", datum.datum);
            let fields = [datum.by, datum.purpose, datum.legal_basis, datum.retention, datum.protection];
            assert!(fields.iter().all(|field| !field.is_empty()), "{}", datum.datum);
        }
    }
}
