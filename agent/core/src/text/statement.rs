//! Database statements to a verb and a first table: `select a from b where c = 'd'` becomes
//! `SELECT` and `b`. Literals, columns and conditions never come out.
//!
//! This reads words; it does not parse SQL. What it does know: comments, quoted names, literals,
//! parentheses, common table expressions, and that `SELECT … FOR UPDATE` takes locks.

/// How much of a statement is read: enough for the first table of anything a person would write.
pub const STATEMENT_BYTES_READ: usize = 4096;

/// Longest name of a table that is kept.
const NAME_BYTES: usize = 128;

/// How `BullMQ`'s keys begin; the queue's name follows.
const QUEUE_KEY: &str = "bull:";

/// What a statement does, to what, and whether a key-value store is used as a queue by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementSummary {
    /// The verb in upper case, such as `SELECT`, `SELECT FOR UPDATE`, `GET`; `None` if there is none.
    pub operation: Option<String>,
    /// The first table or collection, without quotes, with its schema if that was written; the queue's
    /// name where the keys of a key-value store say it.
    pub collection: Option<String>,
    /// Keys or commands by which a key-value store serves as a queue.
    pub queue_work: bool,
}

/// Summarises a statement of the given database system (`db.system.name` or `db.system`; empty
/// when unknown, which is read as SQL).
pub fn statement_summary(system: &str, statement: &str) -> StatementSummary {
    let statement = super::cut(statement, STATEMENT_BYTES_READ).trim_start();
    match system {
        "redis" | "valkey" | "memcached" | "keydb" | "dragonfly" => key_value_summary(statement),
        _ if statement.starts_with(['{', '[']) => document_summary(statement),
        "mongodb" | "elasticsearch" | "opensearch" | "neo4j" | "couchdb" | "influxdb" | "dynamodb" | "aws.dynamodb" => {
            StatementSummary {
                operation: first_word(statement).map(str::to_ascii_uppercase),
                ..StatementSummary::default()
            }
        }
        _ => sql_summary(statement),
    }
}

fn first_word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    (end > 0 && end <= 32).then(|| &text[..end])
}

/// Redis and its kin: a command, then keys.
fn key_value_summary(statement: &str) -> StatementSummary {
    let operation = first_word(statement).map(str::to_ascii_uppercase);
    let queue_command = matches!(
        operation.as_deref(),
        Some("BRPOP" | "BLPOP" | "BLMOVE" | "BRPOPLPUSH" | "BLMPOP" | "XADD" | "XREADGROUP" | "XACK" | "XAUTOCLAIM")
    );
    let queue_keys = [QUEUE_KEY, "_kombu", "unacked", "celery"];
    let queue_work = queue_command || queue_keys.iter().any(|key| statement.contains(key));
    let collection = statement.split_once(QUEUE_KEY).map(|(_, after)| super::cut(after, NAME_BYTES));
    let collection = collection.and_then(|after| after.split([':', ' ', '"']).next()).filter(|name| !name.is_empty());
    StatementSummary { operation, collection: collection.map(str::to_owned), queue_work }
}

/// A JSON document as clients of `MongoDB` send: the first key is the verb, its text the collection.
fn document_summary(statement: &str) -> StatementSummary {
    let mut texts = statement.split('"').skip(1).step_by(2);
    let operation = texts.next().and_then(first_word).map(str::to_ascii_uppercase);
    let after_key = statement.split('"').nth(2).unwrap_or_default().trim();
    let collection = (after_key == ":").then(|| texts.next()).flatten();
    StatementSummary {
        operation,
        collection: collection.map(|name| super::cut(name, NAME_BYTES).to_owned()),
        queue_work: false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// A word or a quoted name, with the parts after its dots.
    Word(&'a str),
    Open,
    Close,
    /// A literal, a placeholder or a sign: only that it is there matters.
    Other,
}

impl<'a> Token<'a> {
    fn is(self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn is_any(self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    fn word(self) -> Option<&'a str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// The words and signs of a statement, comments left out.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn skip_blank(&mut self) {
        loop {
            let text = self.rest.trim_start();
            self.rest = if let Some(comment) = text.strip_prefix("--") {
                comment.split_once('\n').map_or("", |(_, after)| after)
            } else if let Some(comment) = text.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, after)| after)
            } else {
                self.rest = text;
                return;
            };
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    /// Length of the name at the start, quotes and dots included.
    fn name_length(&self) -> usize {
        let mut length = 0;
        loop {
            let text = &self.rest[length..];
            let part = match text.chars().next() {
                Some(open @ ('"' | '`' | '[')) => {
                    let close = if open == '[' { ']' } else { open };
                    text[1..].find(close).map_or(text.len(), |end| end + 2)
                }
                _ => text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '#'))).unwrap_or(text.len()),
            };
            length += part;
            if part == 0 || !self.rest[length..].starts_with('.') {
                return length;
            }
            length += 1;
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let first = self.rest.chars().next()?;
        Some(match first {
            '(' | ')' => {
                self.take(1);
                if first == '(' { Token::Open } else { Token::Close }
            }
            '\'' => {
                let end = self.rest[1..].find('\'').map_or(self.rest.len(), |end| end + 2);
                self.take(end);
                Token::Other
            }
            '"' | '`' | '[' | '_' => Token::Word(self.take(self.name_length())),
            first if first.is_alphabetic() => Token::Word(self.take(self.name_length())),
            first if first.is_ascii_digit() => {
                self.take(self.name_length().max(1));
                Token::Other
            }
            other => {
                self.take(other.len_utf8());
                Token::Other
            }
        })
    }
}

fn sql_summary(statement: &str) -> StatementSummary {
    let mut tokens = Tokens { rest: statement };
    let Some(verb) = main_verb(&mut tokens) else {
        return StatementSummary::default();
    };
    let mut operation = super::cut(verb, 32).to_ascii_uppercase();
    let collection = match operation.as_str() {
        "SELECT" => {
            let (collection, lock) = select_from(&mut tokens);
            if let Some(lock) = lock {
                operation.push_str(lock);
            }
            collection
        }
        "INSERT" | "REPLACE" | "MERGE" => table_after(&mut tokens, &["into"]),
        "DELETE" => table_after(&mut tokens, &["from"]),
        "UPDATE" | "TRUNCATE" | "COPY" | "LOCK" | "CALL" | "EXEC" | "EXECUTE" => first_table(&mut tokens),
        "CREATE" | "ALTER" | "DROP" => table_after(&mut tokens, &["table", "view", "index", "on"]),
        _ => None,
    };
    StatementSummary { operation: Some(operation), collection: collection.map(unquoted), queue_work: false }
}

/// The statement's verb, past brackets and common table expressions.
fn main_verb<'a>(tokens: &mut Tokens<'a>) -> Option<&'a str> {
    const AFTER_WITH: [&str; 6] = ["select", "insert", "update", "delete", "merge", "replace"];
    let first = tokens.find_map(Token::word)?;
    if !first.eq_ignore_ascii_case("with") {
        return Some(first).filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()));
    }
    let mut depth = 0_i32;
    tokens
        .find(|token| {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                _ => {}
            }
            depth == 0 && token.is_any(&AFTER_WITH)
        })
        .and_then(Token::word)
}

/// The first table of a select whose verb has been read, and the lock it takes.
fn select_from<'a>(tokens: &mut Tokens<'a>) -> (Option<&'a str>, Option<&'static str>) {
    let mut table = None;
    let mut lock = None;
    // The depth at which the next FROM names a table: that of the select, or of the subquery
    // that stands where a table would.
    let mut wanted = 0_i32;
    let mut depth = 0_i32;
    let mut after_from = false;
    let mut after_for = false;
    for token in tokens {
        match token {
            Token::Open => {
                depth += 1;
                if after_from {
                    wanted = depth;
                }
            }
            Token::Close => depth -= 1,
            Token::Word(word) if after_from => {
                if token.is_any(&["only", "lateral"]) {
                    continue;
                }
                // After "(" a subquery may stand where a table would: its own FROM names it.
                if !token.is("select") {
                    table = Some(word);
                }
            }
            Token::Word(_) if after_for && depth <= 0 => {
                if token.is_any(&["no", "key"]) {
                    continue;
                }
                if token.is("update") {
                    lock = Some(" FOR UPDATE");
                } else if token.is("share") {
                    lock = Some(" FOR SHARE");
                }
            }
            _ => {}
        }
        after_from = table.is_none() && ((depth == wanted && token.is("from")) || (after_from && token == Token::Open));
        after_for = token.is("for") || (after_for && token.is_any(&["no", "key"]));
    }
    (table, lock)
}

/// The table after the first of `keywords`.
fn table_after<'a>(tokens: &mut Tokens<'a>, keywords: &[&str]) -> Option<&'a str> {
    tokens.find(|token| token.is_any(keywords))?;
    first_table(tokens)
}

/// The next word that names a table.
fn first_table<'a>(tokens: &mut Tokens<'a>) -> Option<&'a str> {
    const NOISE: [&str; 12] =
        ["only", "table", "if", "not", "exists", "into", "low_priority", "ignore", "concurrently", "or", "from", "as"];
    tokens.find(|token| token.word().is_some() && !token.is_any(&NOISE))?.word()
}

fn unquoted(name: &str) -> String {
    let bare: String = name.chars().filter(|c| !matches!(c, '"' | '`' | '[' | ']')).collect();
    super::cut(bare.trim_end_matches('.'), NAME_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sql_gives_its_verb_and_first_table() {
        let table = [
            ("SELECT id, body FROM content_py WHERE id=%s", "SELECT", "content_py"),
            ("select * from public.content c join users u on true", "SELECT", "public.content"),
            (r#"SELECT "a" FROM "public"."content" WHERE x = 'from y'"#, "SELECT", "public.content"),
            ("SELECT `a` FROM `shop`.`orders`", "SELECT", "shop.orders"),
            ("SELECT a FROM [dbo].[Orders]", "SELECT", "dbo.Orders"),
            ("select extract(year from at) from events", "SELECT", "events"),
            ("select n from (select count(*) n from jobs) x", "SELECT", "jobs"),
            ("select 'it''s from' , a from t", "SELECT", "t"),
            ("(select a from t1) union (select a from t2)", "SELECT", "t1"),
            ("select pg_catalog.version()", "SELECT", ""),
            ("SELECT id FROM jobs ORDER BY id FOR UPDATE SKIP LOCKED", "SELECT FOR UPDATE", "jobs"),
            ("SELECT 1 FROM jobs FOR NO KEY UPDATE", "SELECT FOR UPDATE", "jobs"),
            ("SELECT 1 FROM jobs FOR SHARE", "SELECT FOR SHARE", "jobs"),
            ("select substring(a for 3) from t", "SELECT", "t"),
            ("INSERT INTO content_py(body,state) VALUES(%s,'new') RETURNING id", "INSERT", "content_py"),
            ("insert or ignore into t values (1)", "INSERT", "t"),
            ("REPLACE INTO t VALUES (1)", "REPLACE", "t"),
            ("UPDATE ONLY content SET state = 'x'", "UPDATE", "content"),
            ("DELETE FROM content WHERE id = 1", "DELETE", "content"),
            ("TRUNCATE TABLE content", "TRUNCATE", "content"),
            ("CREATE TABLE IF NOT EXISTS content_py(id bigserial)", "CREATE", "content_py"),
            ("/* route:content */ -- and more\n SELECT 1 FROM t", "SELECT", "t"),
            ("WITH x AS (SELECT 1 FROM a), y AS (SELECT 2 FROM b) SELECT * FROM c", "SELECT", "c"),
            ("WITH RECURSIVE x(n) AS (SELECT 1) INSERT INTO d SELECT n FROM x", "INSERT", "d"),
            ("BEGIN", "BEGIN", ""),
            ("COMMIT;", "COMMIT", ""),
            ("ROLLBACK", "ROLLBACK", ""),
            ("SET search_path TO x", "SET", ""),
            ("show transaction isolation level", "SHOW", ""),
            ("", "", ""),
            ("  ;; ", "", ""),
            ("/* never closed", "", ""),
        ];
        for (statement, operation, collection) in table {
            let summary = statement_summary("postgresql", statement);
            assert_eq!(summary.operation.as_deref().unwrap_or(""), operation, "{statement}");
            assert_eq!(summary.collection.as_deref().unwrap_or(""), collection, "{statement}");
            assert!(!summary.queue_work);
        }
    }

    #[test]
    fn a_queues_name_is_read_from_its_keys() {
        let name = |statement| statement_summary("redis", statement).collection;
        assert_eq!(name("evalsha 6f1e 7 bull:thumbnails:wait bull:thumbnails:paused").as_deref(), Some("thumbnails"));
        assert_eq!(name("xadd bull:mails:events * a b").as_deref(), Some("mails"));
        assert_eq!(name("get bull:"), None);
        assert_eq!(name("get content:1"), None);
    }

    #[test]
    fn key_value_commands_tell_queue_work_from_cache_work() {
        let table = [
            ("get content:1", "GET", false),
            ("SET ? ? ? ? ?", "SET", false),
            ("EVALSHA ? ? ? ?", "EVALSHA", false),
            ("evalsha 6f1e 7 bull:thumbnails:wait", "EVALSHA", true),
            ("LPUSH _kombu.binding.celery x", "LPUSH", true),
            ("BRPOP thumbnails 1", "BRPOP", true),
            ("xadd jobs * a b", "XADD", true),
            ("ZADD unacked_index 1 x", "ZADD", true),
        ];
        for (statement, operation, queue_work) in table {
            let summary = statement_summary("redis", statement);
            assert_eq!(summary.operation.as_deref(), Some(operation), "{statement}");
            assert_eq!(summary.queue_work, queue_work, "{statement}");
        }
    }

    #[test]
    fn documents_give_their_first_key() {
        let summary = statement_summary("mongodb", r#"{"find":"content","filter":{"a":"?"}}"#);
        assert_eq!(summary.operation.as_deref(), Some("FIND"));
        assert_eq!(summary.collection.as_deref(), Some("content"));
        let summary = statement_summary("elasticsearch", r#"{"query":{"match":{"a":"?"}}}"#);
        assert_eq!(summary.operation.as_deref(), Some("QUERY"));
        assert_eq!(summary.collection, None);
        let summary = statement_summary("mongodb", "aggregate [..]");
        assert_eq!(summary.operation.as_deref(), Some("AGGREGATE"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_answer(
            system in "(postgresql|redis|mongodb|)",
            statement in r#"((select|from|with|for|update|into|[a-z"'`\[(),.;é/*-]{1,4}|.) ?){0,60}"#,
        ) {
            let summary = statement_summary(&system, &statement);
            prop_assert!(summary.operation.is_none_or(|text| text.len() <= 48));
            prop_assert!(summary.collection.is_none_or(|text| text.len() <= NAME_BYTES));
        }
    }
}
