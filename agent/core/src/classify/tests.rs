//! One row a test: what a client sends, and what it is.

use super::*;

fn shape(kind: SpanKind, name: &str) -> SpanShape {
    SpanShape { kind, name: name.into(), ..SpanShape::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "fields are optional: a row reads better without Some")]
fn text(value: &str) -> Option<Box<str>> {
    Some(value.into())
}

fn called(shape: &SpanShape) -> (PeerClass, String, String, Act) {
    match subject(shape) {
        Subject::Call { peer, act } => (peer.class, peer.system.into(), peer.name.into(), act),
        other => panic!("{other:?} is not a call"),
    }
}

fn database(system: &str, name: &str) -> SpanShape {
    SpanShape {
        db_system: text(system),
        db_namespace: text("content"),
        peer_address: text("db1"),
        peer_port: 5432,
        ..shape(SpanKind::Client, name)
    }
}

#[test]
fn a_server_span_is_a_request_of_the_service() {
    assert_eq!(subject(&shape(SpanKind::Server, "GET /x")), Subject::Serve { store: None });
}

#[test]
fn a_server_span_of_a_cache_says_that_the_service_is_a_cache() {
    let span = SpanShape { db_system: text("redis"), ..shape(SpanKind::Server, "GET") };
    assert_eq!(subject(&span), Subject::Serve { store: Some(PeerClass::Cache) });
}

#[test]
fn a_function_behind_http_serves_and_one_fed_by_a_queue_processes() {
    let behind_http = SpanShape { faas_trigger: text("http"), ..shape(SpanKind::Server, "f") };
    let fed = SpanShape { faas_trigger: text("pubsub"), ..shape(SpanKind::Server, "f") };
    assert_eq!(subject(&behind_http), Subject::Serve { store: None });
    assert_eq!(subject(&fed), Subject::Process);
}

#[test]
fn an_internal_span_is_work_inside() {
    assert_eq!(subject(&shape(SpanKind::Internal, "http receive")), Subject::Inside);
}

#[test]
fn python_sqs_send_is_a_send_to_the_queue() {
    let span = SpanShape {
        messaging_system: text("aws.sqs"),
        messaging_destination: text("tt-events"),
        ..shape(SpanKind::Producer, "tt-events send")
    };
    assert_eq!(called(&span), (PeerClass::Queue, "aws_sqs".into(), "tt-events".into(), Act::Send));
}

#[test]
fn botocore_sqs_calls_are_told_apart_by_their_method() {
    for (method, act) in [
        ("SendMessage", Act::Send),
        ("SendMessageBatch", Act::Send),
        ("ReceiveMessage", Act::Poll),
        ("DeleteMessage", Act::Settle),
        ("CreateQueue", Act::Housekeeping),
    ] {
        let span = SpanShape {
            rpc_system: text("aws-api"),
            rpc_service: text("SQS"),
            rpc_method: text(method),
            messaging_system: text("aws.sqs"),
            messaging_destination: text("tt-events"),
            ..shape(SpanKind::Client, "SQS")
        };
        assert_eq!(called(&span).3, act, "{method}");
    }
}

#[test]
fn node_and_python_names_for_sqs_are_one_system() {
    for system in ["aws_sqs", "aws.sqs", "AmazonSQS"] {
        let span = SpanShape { messaging_system: text(system), ..shape(SpanKind::Producer, "send") };
        assert_eq!(called(&span).1, "aws_sqs");
    }
}

#[test]
fn a_receive_is_a_poll_and_a_process_is_a_workers_request() {
    let receive = SpanShape {
        messaging_operation: Some(MessagingOperation::Receive),
        messaging_destination: text("tt-events"),
        messaging_system: text("aws.sqs"),
        ..shape(SpanKind::Consumer, "tt-events receive")
    };
    let process = SpanShape { messaging_operation: Some(MessagingOperation::Process), ..receive.clone() };
    assert_eq!(called(&receive).3, Act::Poll);
    assert_eq!(subject(&process), Subject::Process);
    assert_eq!(operation(&process, &Subject::Process), "process tt-events");
}

#[test]
fn celery_names_no_system_but_is_a_queue_and_a_worker() {
    let send = SpanShape {
        celery: true,
        messaging_destination: text("thumbnails"),
        ..shape(SpanKind::Producer, "apply_async/x")
    };
    let run =
        SpanShape { celery: true, messaging_destination: text("thumbnails"), ..shape(SpanKind::Consumer, "run/x") };
    assert_eq!(called(&send), (PeerClass::Queue, "celery".into(), "thumbnails".into(), Act::Send));
    assert_eq!(subject(&run), Subject::Process);
}

#[test]
fn queue_work_on_redis_is_no_cache_work() {
    let add = SpanShape { db_system: text("redis"), db_queue_work: true, ..shape(SpanKind::Client, "evalsha") };
    assert_eq!(called(&add), (PeerClass::Queue, "redis".into(), String::new(), Act::Send));
    let named = SpanShape { db_collection: text("thumbnails"), ..add.clone() };
    assert_eq!(called(&named).2, "thumbnails", "keys may say the queue's name");
    let wait = SpanShape { db_operation: text("BRPOP"), ..add };
    assert_eq!(called(&wait).3, Act::Poll);
}

#[test]
fn s3_is_an_object_store_by_service_bucket_or_host() {
    let python = SpanShape {
        rpc_system: text("aws-api"),
        rpc_service: text("S3"),
        rpc_method: text("PutObject"),
        ..shape(SpanKind::Client, "S3.PutObject")
    };
    assert_eq!(called(&python), (PeerClass::ObjectStore, "s3".into(), String::new(), Act::Write));
    let node =
        SpanShape { s3_bucket: text("b"), rpc_method: text("GetObject"), ..shape(SpanKind::Client, "S3.GetObject") };
    assert_eq!(called(&node), (PeerClass::ObjectStore, "s3".into(), "b".into(), Act::Read));
    let plain = SpanShape { peer_address: text("s3.eu-central-1.amazonaws.com"), ..shape(SpanKind::Client, "GET") };
    assert_eq!(called(&plain).0, PeerClass::ObjectStore);
}

#[test]
fn a_grpc_service_that_happens_to_be_named_s3_is_a_service() {
    let span = SpanShape {
        rpc_system: text("grpc"),
        rpc_service: text("S3"),
        peer_address: text("x"),
        ..shape(SpanKind::Client, "S3/Get")
    };
    assert_eq!(called(&span).0, PeerClass::Service);
}

#[test]
fn stores_are_sorted_by_product_under_old_and_new_names() {
    for (system, class, under) in [
        ("redis", PeerClass::Cache, "redis"),
        ("valkey", PeerClass::Cache, "valkey"),
        ("memcached", PeerClass::Cache, "memcached"),
        ("dynamodb", PeerClass::Nosql, "dynamodb"),
        ("aws.dynamodb", PeerClass::Nosql, "dynamodb"),
        ("mongodb", PeerClass::Nosql, "mongodb"),
        ("cassandra", PeerClass::Nosql, "cassandra"),
        ("elasticsearch", PeerClass::Nosql, "elasticsearch"),
        ("azure.cosmosdb", PeerClass::Nosql, "cosmosdb"),
        ("redshift", PeerClass::Warehouse, "redshift"),
        ("aws.redshift", PeerClass::Warehouse, "redshift"),
        ("snowflake", PeerClass::Warehouse, "snowflake"),
        ("postgresql", PeerClass::Database, "postgresql"),
        ("mysql", PeerClass::Database, "mysql"),
        ("mariadb", PeerClass::Database, "mariadb"),
        ("sqlite", PeerClass::Database, "sqlite"),
        ("mssql", PeerClass::Database, "mssql"),
        ("microsoft.sql_server", PeerClass::Database, "mssql"),
        ("oracle.db", PeerClass::Database, "oracle"),
        // InterSystems Caché, not a cache.
        ("cache", PeerClass::Database, "cache"),
    ] {
        let span = database(system, "query");
        assert_eq!((called(&span).0, called(&span).1.as_str()), (class, under), "{system}");
    }
}

#[test]
fn statements_are_reads_writes_or_neither() {
    for (operation, act) in [
        ("SELECT", Act::Read),
        ("select", Act::Read),
        ("SELECT FOR UPDATE", Act::Write),
        ("INSERT", Act::Write),
        ("UPDATE content", Act::Write),
        ("COMMIT", Act::Request),
        ("BEGIN", Act::Request),
    ] {
        let span = SpanShape { db_operation: text(operation), ..database("postgresql", "x") };
        assert_eq!(called(&span).3, act, "{operation}");
    }
}

#[test]
fn where_no_operation_is_sent_the_spans_name_tells_it() {
    for (name, act) in [
        ("SELECT", Act::Read),
        ("UPDATE content", Act::Write),
        ("pg.query:SELECT content", Act::Read),
        ("pg-pool.connect", Act::Housekeeping),
    ] {
        assert_eq!(called(&database("postgresql", name)).3, act, "{name}");
    }
}

#[test]
fn cache_commands_are_lookups_writes_or_housekeeping() {
    for (name, act) in [
        ("GET", Act::Read),
        ("redis-GET", Act::Read),
        ("MGET", Act::Read),
        ("SET", Act::Write),
        ("SETEX", Act::Write),
        ("PING", Act::Housekeeping),
        ("CLIENT", Act::Housekeeping),
    ] {
        let span = SpanShape { db_system: text("redis"), ..shape(SpanKind::Client, name) };
        assert_eq!(called(&span).3, act, "{name}");
    }
}

#[test]
fn a_redis_database_number_names_nothing() {
    let span = SpanShape { db_system: text("redis"), db_namespace: text("1"), ..shape(SpanKind::Client, "GET") };
    assert_eq!(called(&span).2, "");
}

#[test]
fn dynamodb_through_the_aws_sdk_is_nosql() {
    let span = SpanShape {
        rpc_system: text("aws-api"),
        rpc_service: text("DynamoDB"),
        rpc_method: text("GetItem"),
        ..shape(SpanKind::Client, "DynamoDB.GetItem")
    };
    assert_eq!(called(&span), (PeerClass::Nosql, "dynamodb".into(), String::new(), Act::Read));
}

#[test]
fn other_clients_call_a_service_at_an_address() {
    let http = SpanShape { peer_address: text("api.example.com"), peer_port: 443, ..shape(SpanKind::Client, "GET") };
    assert_eq!(called(&http), (PeerClass::Service, "http".into(), String::new(), Act::Request));
    let nowhere = shape(SpanKind::Client, "GET");
    assert_eq!(subject(&nowhere), Subject::Inside);
}

#[test]
fn metadata_lookups_at_start_are_nobodys_requests() {
    let span = SpanShape { peer_address: text("169.254.169.254"), ..shape(SpanKind::Client, "GET") };
    assert_eq!(called(&span).3, Act::Housekeeping);
}

#[test]
fn operations_are_routes_summaries_and_names_never_raw_paths() {
    let route = SpanShape {
        http_method: text("GET"),
        http_route: text("/api/v1/content/{id}"),
        path_template: text("/api/v1/content/{id}"),
        ..shape(SpanKind::Server, "GET")
    };
    assert_eq!(operation(&route, &subject(&route)), "GET /api/v1/content/{id}");
    let proxied = SpanShape { http_route: None, ..route };
    assert_eq!(operation(&proxied, &subject(&proxied)), "GET /api/v1/content/{id}");
    let grpc = SpanShape { rpc_service: text("Cart"), rpc_method: text("Add"), ..shape(SpanKind::Server, "Cart/Add") };
    assert_eq!(operation(&grpc, &subject(&grpc)), "Cart/Add");
    let select =
        SpanShape { db_operation: text("SELECT"), db_collection: text("user_content"), ..database("mysql", "x") };
    assert_eq!(operation(&select, &subject(&select)), "SELECT user_content");
}

#[test]
fn failures_are_what_the_server_would_call_failures() {
    let http = |status, code| SpanShape { status, http_status: code, ..shape(SpanKind::Client, "GET") };
    assert!(!failed(&http(SpanStatus::Error, 404)), "a client calls a 404 an error");
    assert!(!failed(&http(SpanStatus::Error, 409)), "BucketAlreadyOwnedByYou");
    assert!(failed(&http(SpanStatus::Unset, 503)), "a server may not set its status");
    assert!(failed(&http(SpanStatus::Error, 429)), "throttled");
    assert!(failed(&http(SpanStatus::Error, 0)), "no answer at all");
    assert!(!failed(&http(SpanStatus::Unset, 200)));
    let noscript = SpanShape { error_type: text("NOSCRIPT"), ..http(SpanStatus::Error, 0) };
    assert!(!failed(&noscript));
}
