//! What nodes of the service map are called.

use serde_json::Value;

use crate::sent::{CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, call, documents_of, span};

fn named(kind: i32, name: &str, pairs: &[(&str, &str)]) -> (String, Option<String>) {
    let call = call(kind, name, pairs);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (text(&call["name"]).expect("a name"), text(&call["namespace"]))
}

fn remote(name: &str) -> (String, Option<String>) {
    (name.to_owned(), Some("remote".to_owned()))
}

#[test]
fn a_database_is_one_node_whatever_the_statement() {
    for (name, statement) in [("SELECT orders", "select 1"), ("INSERT orders", "insert 2")] {
        let current = [
            ("db.system.name", "postgresql"),
            ("db.namespace", "orders"),
            ("server.address", "db1"),
            ("db.query.text", statement),
        ];
        assert_eq!(named(CLIENT, name, &current), remote("orders@db1"));
        let older =
            [("db.system", "mysql"), ("db.name", "orders"), ("net.peer.name", "db1"), ("db.statement", statement)];
        assert_eq!(named(CLIENT, name, &older), remote("orders@db1"));
    }
    assert_eq!(named(CLIENT, "SELECT", &[("db.system", "sqlite"), ("db.name", "main")]), remote("main"));
}

#[test]
fn a_cache_is_named_by_its_system_since_its_databases_are_numbers() {
    let redis = [("db.system.name", "redis"), ("db.namespace", "0"), ("server.address", "cache1:6379")];
    assert_eq!(named(CLIENT, "GET", &redis), remote("redis@cache1"));
}

#[test]
fn a_queue_is_named_by_its_destination_for_producers_too() {
    let kafka = [("messaging.system", "kafka"), ("messaging.destination.name", "jobs"), ("server.address", "k1")];
    assert_eq!(named(PRODUCER, "send jobs", &kafka), remote("jobs"));
    assert_eq!(named(CLIENT, "poll jobs", &kafka), remote("jobs"));
}

#[test]
fn a_bucket_and_a_service_of_aws_are_of_the_namespace_aws() {
    let aws = |name: &str| (name.to_owned(), Some("aws".to_owned()));
    let bucket =
        [("rpc.system", "aws-api"), ("rpc.service", "S3"), ("rpc.method", "PutObject"), ("aws.s3.bucket", "pictures")];
    assert_eq!(named(CLIENT, "S3.PutObject", &bucket), aws("pictures"));
    let table = [("rpc.system.name", "aws-api"), ("rpc.method", "DynamoDB/GetItem"), ("aws.request_id", "r-1")];
    assert_eq!(named(CLIENT, "DynamoDB.GetItem", &table), aws("DynamoDB"));
    assert_eq!(call(CLIENT, "x", &table)["aws"]["request_id"], "r-1");
}

#[test]
fn other_calls_are_named_by_who_is_called() {
    assert_eq!(named(CLIENT, "GET", &[("peer.service", "prices"), ("server.address", "10.0.0.1")]), remote("prices"));
    assert_eq!(named(CLIENT, "GET", &[("url.full", "https://u:p@api.example:8443/v1/x?y=z")]), remote("api.example"));
    assert_eq!(named(CLIENT, "x", &[("rpc.system", "grpc"), ("rpc.method", "shop.Prices/Get")]), remote("shop.Prices"));
    assert_eq!(named(CLIENT, "GET", &[]), remote("GET"));
    assert_eq!(named(INTERNAL, "render <page>", &[("server.address", "x")]), ("render page".to_owned(), None));
}

#[test]
fn requests_and_messages_that_a_service_takes_are_segments_by_its_name() {
    for kind in [SERVER, CONSUMER] {
        let all = documents_of(&[span(1, 9, kind, "process jobs", &[("messaging.destination.name", "jobs")])]);
        assert_eq!((all.len(), &all[0]["name"], &all[0]["type"]), (1, &"shop".into(), &Value::Null));
        assert_eq!(all[0]["parent_id"], "0000000000000009");
        assert_eq!(all[0]["metadata"]["default"]["otel.span.name"], "process jobs");
    }
}

#[test]
fn a_trace_that_begins_with_a_call_has_the_calling_service_above_it() {
    let all = documents_of(&[span(1, 0, CLIENT, "GET", &[("server.address", "api")])]);
    assert_eq!((all.len(), &all[0]["name"], &all[0]["subsegments"][0]["name"]), (1, &"shop".into(), &"api".into()));
    assert_eq!(all[0]["subsegments"][0]["id"], "0000000000000001");
}
