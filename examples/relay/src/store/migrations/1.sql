-- Accounts, which the operator makes. Their numbers never come again, so that nothing of a forgotten account is taken
-- for another's.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    outsider INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    hash BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_account ON sessions (account, expires);

-- Meetings that are planned or running. Epochs are those that the next commit of a group ends.
CREATE TABLE meetings (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    organizer INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    locked INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    started INTEGER,
    participants INTEGER NOT NULL DEFAULT 0,
    last_message INTEGER NOT NULL DEFAULT 0,
    meeting_epoch INTEGER NOT NULL DEFAULT 0,
    insiders_epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX meetings_of_account ON meetings (organizer);

CREATE TABLE invitations (
    hash BLOB PRIMARY KEY,
    meeting TEXT NOT NULL REFERENCES meetings ON DELETE CASCADE,
    used INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_of_meeting ON invitations (meeting);

-- Who is, was or waits in a meeting. state: 0 waits, 1 in, 2 left, 3 removed. meeting_since and insiders_since are the
-- numbers of the messages of MLS by which the participant came into the groups.
CREATE TABLE roster (
    meeting TEXT NOT NULL REFERENCES meetings ON DELETE CASCADE,
    participant INTEGER NOT NULL,
    account INTEGER REFERENCES accounts ON DELETE CASCADE,
    outsider INTEGER NOT NULL,
    token BLOB NOT NULL,
    state INTEGER NOT NULL,
    was_in INTEGER NOT NULL DEFAULT 0,
    voice INTEGER NOT NULL,
    camera INTEGER NOT NULL,
    share INTEGER NOT NULL,
    meeting_since INTEGER,
    insiders_since INTEGER,
    PRIMARY KEY (meeting, participant)
) STRICT, WITHOUT ROWID;
CREATE INDEX roster_of_account ON roster (account);

-- What the groups of MLS said, as ciphertext, in order.
CREATE TABLE messages (
    meeting TEXT NOT NULL REFERENCES meetings ON DELETE CASCADE,
    number INTEGER NOT NULL,
    insiders INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (meeting, number)
) STRICT;

-- Limits of cameras. owner 0 is the organizer's limit for all cameras. audience: 0 guests, 1 outsiders, 2 all.
CREATE TABLE camera_limits (
    meeting TEXT NOT NULL REFERENCES meetings ON DELETE CASCADE,
    owner INTEGER NOT NULL,
    audience INTEGER NOT NULL,
    max_spatial_id INTEGER NOT NULL,
    PRIMARY KEY (meeting, owner, audience)
) STRICT, WITHOUT ROWID;

-- Meetings that are over; empty unless the operator switches it on.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL
) STRICT;
CREATE INDEX history_by_end ON history (ended);

CREATE TABLE history_people (
    history INTEGER NOT NULL REFERENCES history ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (history, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_of_name ON history_people (name);
