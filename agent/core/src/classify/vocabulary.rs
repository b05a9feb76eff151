//! The words that clients use for products and commands, and what they mean here.

/// What a product of `db.system` is to a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreClass {
    Cache,
    Nosql,
    Warehouse,
    Database,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SqlVerb {
    Read,
    Write,
    Connect,
    Other,
}

/// One name for the old and the new value of `db.system`.
pub(super) fn db_system(sent: &str) -> &str {
    match sent {
        "aws.dynamodb" => "dynamodb",
        "azure.cosmosdb" => "cosmosdb",
        "microsoft.sql_server" => "mssql",
        "oracle.db" => "oracle",
        "aws.redshift" => "redshift",
        "gcp.spanner" => "spanner",
        "gcp.bigquery" => "bigquery",
        "ibm.db2" => "db2",
        "sap.hana" => "hanadb",
        "postgres" => "postgresql",
        other => other,
    }
}

/// What a product is. The old `cache` is `InterSystems` Caché, a database.
pub(super) fn store_class(system: &str) -> StoreClass {
    match system {
        "redis" | "valkey" | "memcached" | "keydb" | "dragonfly" | "hazelcast" => StoreClass::Cache,
        "dynamodb" | "mongodb" | "cassandra" | "scylladb" | "elasticsearch" | "opensearch" | "cosmosdb"
        | "couchbase" | "couchdb" | "hbase" | "neo4j" | "geode" | "gcp.firestore" | "firestore" | "aws.documentdb" => {
            StoreClass::Nosql
        }
        "redshift" | "snowflake" | "bigquery" | "teradata" | "vertica" | "clickhouse" | "trino" | "databricks" => {
            StoreClass::Warehouse
        }
        _ => StoreClass::Database,
    }
}

/// One name for the many values of `messaging.system`.
pub(super) fn messaging_system(sent: &str) -> &str {
    match sent {
        "aws.sqs" | "AmazonSQS" | "aws_sqs" | "sqs" => "aws_sqs",
        "aws.sns" | "AmazonSNS" | "aws_sns" | "sns" => "aws_sns",
        other => other,
    }
}

/// The queueing system behind an AWS service's name.
pub(super) fn aws_queue(service: &str) -> Option<&'static str> {
    Some(match service {
        "SQS" | "AmazonSQS" => "aws_sqs",
        "SNS" | "AmazonSNS" => "aws_sns",
        "Kinesis" => "aws_kinesis",
        "Firehose" => "aws_firehose",
        "EventBridge" | "CloudWatchEvents" => "aws_eventbridge",
        _ => return None,
    })
}

/// What a call of an AWS queueing service does.
pub(super) fn aws_queue_act(method: &str) -> super::Act {
    use super::Act;
    if method.starts_with("Send") || method.starts_with("Publish") || method.starts_with("Put") {
        Act::Send
    } else if method.starts_with("Receive") || method.starts_with("GetRecords") {
        Act::Poll
    } else if method.starts_with("DeleteMessage") {
        Act::Settle
    } else {
        Act::Housekeeping
    }
}

/// What a SQL statement's first word, or a driver's span, does.
pub(super) fn sql_verb(operation: &str) -> SqlVerb {
    let upper = operation.trim().to_ascii_uppercase();
    match upper.split_whitespace().next().unwrap_or_default() {
        // A read that locks rows is not one that a replica can serve.
        "SELECT" if upper.contains("FOR UPDATE") => SqlVerb::Write,
        "SELECT" | "WITH" | "SHOW" | "EXPLAIN" | "VALUES" | "FETCH" | "FIND" | "AGGREGATE" | "COUNT" => SqlVerb::Read,
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "REPLACE" | "UPSERT" | "CREATE" | "ALTER" | "DROP" | "TRUNCATE"
        | "COPY" => SqlVerb::Write,
        "CONNECT" | "DISCONNECT" | "PING" => SqlVerb::Connect,
        _ => SqlVerb::Other,
    }
}

/// Commands that look a key up and can miss.
pub(super) fn reads_cache(command: &str) -> bool {
    matches!(
        command,
        "GET"
            | "MGET"
            | "GETEX"
            | "GETS"
            | "GAT"
            | "HGET"
            | "HGETALL"
            | "HMGET"
            | "JSON.GET"
            | "SMEMBERS"
            | "ZRANGE"
            | "LRANGE"
            | "EXISTS"
    )
}

/// Commands that keep a connection going and are nobody's request.
pub(super) fn keeps_connection(command: &str) -> bool {
    matches!(
        command,
        "PING"
            | "HELLO"
            | "AUTH"
            | "SELECT"
            | "CLIENT"
            | "INFO"
            | "CONNECT"
            | "QUIT"
            | "SUBSCRIBE"
            | "PSUBSCRIBE"
            | "READONLY"
    )
}

/// Calls of an object or item store that read.
pub(super) fn reads_object(method: &str) -> bool {
    ["Get", "Head", "List", "Query", "Scan", "BatchGet", "Describe", "Select"]
        .iter()
        .any(|verb| method.trim_start_matches("S3.").starts_with(verb))
}
