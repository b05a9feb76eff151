//! The statements that the service sends to its database, as spans and metrics describe them.

/// A statement, as database spans describe it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    pub(crate) table: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) text: &'static str,
}

/// The table of contents.
const CONTENTS: &str = "user_content";

/// The table of sessions.
const SESSIONS: &str = "session";

pub(crate) static SELECT: Statement = Statement {
    table: CONTENTS,
    operation: "SELECT",
    summary: "SELECT user_content",
    text: "SELECT id, user_id, content_metadata, asset_url, created_at FROM user_content WHERE id = ?",
};

pub(crate) static LIST: Statement = Statement {
    table: CONTENTS,
    operation: "SELECT",
    summary: "SELECT user_content by user",
    text: "SELECT id, user_id, content_metadata, asset_url, created_at FROM user_content
           WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT 20",
};

pub(crate) static INSERT: Statement = Statement {
    table: CONTENTS,
    operation: "INSERT",
    summary: "INSERT user_content",
    text: "INSERT INTO user_content (user_id) VALUES (?)",
};

pub(crate) static UPDATE: Statement = Statement {
    table: CONTENTS,
    operation: "UPDATE",
    summary: "UPDATE user_content",
    text: "UPDATE user_content SET content_metadata = ?, asset_url = ? WHERE id = ?",
};

pub(crate) static DELETE: Statement = Statement {
    table: CONTENTS,
    operation: "DELETE",
    summary: "DELETE user_content",
    text: "DELETE FROM user_content WHERE id = ?",
};

pub(crate) static PUT_SESSION: Statement = Statement {
    table: SESSIONS,
    operation: "INSERT",
    summary: "INSERT session",
    text: "INSERT INTO session (id, user_id) VALUES (?, ?)",
};

pub(crate) static GET_SESSION: Statement = Statement {
    table: SESSIONS,
    operation: "SELECT",
    summary: "SELECT session",
    text: "SELECT user_id FROM session WHERE id = ?",
};
