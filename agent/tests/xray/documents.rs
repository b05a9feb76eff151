//! What stands in documents, and how a trace is cut into them.

use serde_json::{Value, json};
use tiertop_agent::ship::xray::encode::trace;

use crate::sent::{
    CLIENT, INTERNAL, SERVER, attributes, call, chosen, detail, documents_of, exception, failed, read, resource, span,
};

/// The attributes of a request that a service took.
const REQUEST: [(&str, &str); 10] = [
    ("http.request.method", "GET"),
    ("url.scheme", "https"),
    ("server.address", "shop.example"),
    ("server.port", "8443"),
    ("url.path", "/orders/7"),
    ("url.query", "full=yes"),
    ("http.response.status_code", "200"),
    ("client.address", "198.51.100.7"),
    ("http.route", "/orders/{id}"),
    ("customer.tier", "gold"),
];

#[test]
fn a_request_becomes_a_segment_with_what_was_done_for_it() {
    let resource = resource(&[
        ("service.name", "shop"),
        ("service.version", "1.4.2"),
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_ecs"),
        ("aws.ecs.launchtype", "fargate"),
        ("cloud.account.id", "acct"),
    ]);
    let server = span(1, 0, SERVER, "GET /orders/{id}", &REQUEST);
    let select = span(
        2,
        1,
        CLIENT,
        "SELECT orders",
        &[
            ("db.system.name", "postgresql"),
            ("db.namespace", "orders"),
            ("server.address", "db1"),
            ("server.port", "5432"),
            ("db.query.text", "select * from orders where id = 7"),
        ],
    );
    let encoded =
        trace(&chosen(vec![detail(&resource, &server), detail(&resource, &select)]), &["customer.tier".to_owned()]);
    assert_eq!((encoded.documents.len(), encoded.documents[0].spans, encoded.spans_cut), (1, 2, 0));
    assert_eq!(
        read(&encoded)[0],
        json!({
            "trace_id": "1-61234567-0123456789abcdef01234567",
            "id": "0000000000000001",
            "name": "shop",
            "start_time": 1_800_000_001.001,
            "end_time": 1_800_000_001.251,
            "origin": "AWS::ECS::Fargate",
            "service": {"version": "1.4.2"},
            "http": {
                "request": {
                    "method": "GET",
                    "url": "https://shop.example:8443/orders/7?full=yes",
                    "client_ip": "198.51.100.7",
                },
                "response": {"status": 200},
            },
            "aws": {"account_id": "acct", "ecs": {"launch_type": "fargate"}},
            "annotations": {
                "tier": "app/shop",
                "verdict": "db-primary/orders: lock contention",
                "customer.tier": "gold",
            },
            "metadata": {"default": {
                "otel.span.name": "GET /orders/{id}",
                "otel.span.kind": "server",
                "server.address": "shop.example",
                "server.port": 8443,
                "http.route": "/orders/{id}",
                "customer.tier": "gold",
                "tiertop.chosen_for": "slow",
                "otel.resource.service.name": "shop",
                "otel.resource.service.version": "1.4.2",
                "otel.resource.cloud.provider": "aws",
                "otel.resource.cloud.platform": "aws_ecs",
                "otel.resource.aws.ecs.launchtype": "fargate",
                "otel.resource.cloud.account.id": "acct",
            }},
            "subsegments": [{
                "id": "0000000000000002",
                "name": "orders@db1",
                "start_time": 1_800_000_001.002,
                "end_time": 1_800_000_001.252,
                "namespace": "remote",
                "sql": {
                    "url": "postgresql://db1:5432/orders",
                    "sanitized_query": "select * from orders where id = ?",
                    "database_type": "postgresql",
                },
                "annotations": {"tier": "app/shop"},
                "metadata": {"default": {
                    "otel.span.name": "SELECT orders",
                    "otel.span.kind": "client",
                    "db.system.name": "postgresql",
                    "db.namespace": "orders",
                    "server.address": "db1",
                    "server.port": 5432,
                }},
            }],
        })
    );
}

#[test]
fn each_service_has_a_segment_below_the_call_that_asked_it() {
    let (lb, app) = (resource(&[("service.name", "entry")]), resource(&[("service.name", "shop")]));
    let spans = vec![
        detail(&app, &span(4, 3, INTERNAL, "render", &[])),
        detail(&app, &span(3, 2, SERVER, "GET /", &[])),
        detail(&lb, &span(2, 1, CLIENT, "GET", &[("server.address", "shop")])),
        detail(&lb, &span(1, 0, SERVER, "GET /", &[])),
    ];
    let all = read(&trace(&chosen(spans), &[]));
    let shape = |document: &Value| {
        let inner = document["subsegments"].as_array().map(|all| all.iter().map(|one| one["name"].clone()).collect());
        (document["name"].clone(), document["parent_id"].clone(), inner.unwrap_or_default())
    };
    assert_eq!(
        all.iter().map(shape).collect::<Vec<_>>(),
        [
            (json!("entry"), Value::Null, vec![json!("shop")]),
            (json!("shop"), json!("0000000000000002"), vec![json!("render")]),
        ]
    );
}

#[test]
fn what_comes_without_its_parent_is_a_document_of_its_own() {
    let all = documents_of(&[span(5, 4, CLIENT, "GET", &[("server.address", "api")])]);
    let found = (&all[0]["type"], &all[0]["parent_id"], &all[0]["trace_id"]);
    assert_eq!(
        found,
        (&json!("subsegment"), &json!("0000000000000004"), &json!("1-61234567-0123456789abcdef01234567"))
    );
}

/// `error`, `fault` and `throttle` of a failed or refused request.
fn blamed(pairs: &[(&str, &str)], has_failed: bool) -> (bool, bool, bool) {
    let server = span(1, 0, SERVER, "GET /", pairs);
    let all = documents_of(&[if has_failed { failed(server, "") } else { server }]);
    let flag = |name: &str| all[0][name] == true;
    (flag("error"), flag("fault"), flag("throttle"))
}

#[test]
fn a_status_says_whose_fault_it_is() {
    assert_eq!(blamed(&[("http.response.status_code", "404")], true), (true, false, false));
    assert_eq!(blamed(&[("http.status_code", "429")], false), (true, false, true));
    assert_eq!(blamed(&[("http.response.status_code", "503")], false), (false, true, false));
    assert_eq!(blamed(&[("http.response.status_code", "200")], false), (false, false, false));
    assert_eq!(blamed(&[("http.response.status_code", "200")], true), (false, true, false));
    assert_eq!(blamed(&[("rpc.grpc.status_code", "5")], true), (true, false, false));
    assert_eq!(blamed(&[("rpc.response.status_code", "RESOURCE_EXHAUSTED")], true), (true, false, true));
    assert_eq!(blamed(&[], true), (false, true, false));
}

#[test]
fn exceptions_are_the_cause_and_without_them_the_status_message() {
    let mut with_event = failed(span(2, 1, CLIENT, "GET", &[]), "ignored");
    with_event.events.push(exception(&[
        ("exception.type", "TimeoutError"),
        ("exception.message", "no answer"),
        ("exception.stacktrace", "main\nhandle"),
    ]));
    let all = documents_of(&[failed(span(1, 0, SERVER, "GET /", &[]), "gave up"), with_event]);
    let told = |value: &Value| value["cause"]["exceptions"][0].clone();
    let mut inner = told(&all[0]["subsegments"][0]);
    let id = inner.as_object_mut().and_then(|exception| exception.remove("id")).expect("an id");
    assert!(id.as_str().is_some_and(|id| id.len() == 16), "{id}");
    assert_eq!(
        inner,
        json!({
            "type": "TimeoutError", "message": "no answer", "remote": true,
            "stack": [{"label": "main"}, {"label": "handle"}],
        })
    );
    assert_eq!(told(&all[0])["message"], "gave up");
}

#[test]
fn statements_are_told_without_their_values_and_keys_of_caches_not_at_all() {
    let query = |system: &str, text: &str| {
        let call = call(CLIENT, "x", &[("db.system.name", system), ("db.query.text", text)]);
        assert!(!call.to_string().contains("secret"), "{call}");
        call["sql"]["sanitized_query"].clone()
    };
    assert_eq!(query("mysql", "select a from b where c = 'secret' -- secret"), "select a from b where c = ?");
    assert_eq!(query("redis", "SET user:secret secret"), "SET");
    assert_eq!(query("mongodb", "{\"find\": \"users\", \"filter\": {\"name\": \"secret\"}}"), "FIND users");
}

#[test]
fn keys_of_annotations_are_words_and_values_are_texts_numbers_and_flags() {
    let resource = resource(&[("service.name", "shop")]);
    let mut server = span(1, 0, SERVER, "GET /", &[("a-b c", "x"), ("n", "7"), ("tier", "not ours")]);
    server.attributes.extend(attributes(&[("a_b_c", "comes second")]));
    let all = read(&trace(&chosen(vec![detail(&resource, &server)]), &["*".to_owned()]));
    let annotations = &all[0]["annotations"];
    assert_eq!((&annotations["a_b_c"], &annotations["n"]), (&json!("x"), &json!(7)));
    assert_eq!((&annotations["tier"], &annotations["service.name"]), (&json!("app/shop"), &json!("shop")));
}
