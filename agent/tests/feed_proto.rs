//! The committed code of the feed is what `proto/` says.
//!
//! It is generated here, with a protobuf compiler written in Rust, rather than in a build script:
//! so building tiertop needs no `protoc`, and what changed is seen in review. After a change of
//! the proto: `TIERTOP_REGENERATE=1 cargo test -p tiertop-agent --test feed_proto`.

use std::path::{Path, PathBuf};

const PROTO: &str = "tiertop/feed/v1/feed.proto";
const GENERATED: &str = "tiertop.feed.v1.rs";

fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn generate(configure: impl FnOnce(tonic_prost_build::Builder) -> tonic_prost_build::Builder) -> String {
    let files = protox::compile([PROTO], [in_package("proto")]).expect("the proto compiles");
    let out = tempfile::tempdir().expect("a temporary directory");
    configure(tonic_prost_build::configure())
        .out_dir(out.path())
        .emit_rerun_if_changed(false)
        .compile_fds(files)
        .expect("code is generated");
    std::fs::read_to_string(out.path().join(GENERATED)).expect("the generated file")
}

fn assert_current(committed: &str, generated: &str) {
    let path = in_package(committed);
    if std::env::var_os("TIERTOP_REGENERATE").is_some() {
        std::fs::write(&path, generated).expect("the generated file is written");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == generated,
        "{committed} is not what proto/{PROTO} says; run \
         `TIERTOP_REGENERATE=1 cargo test -p tiertop-agent --test feed_proto` and commit it"
    );
}

#[test]
fn messages_and_client_are_current() {
    let code = generate(|builder| builder.build_server(false));
    assert_current("src/feed/generated/tiertop.feed.v1.rs", &code);
}

/// The server is generated apart, with a `Snapshot` that is already encoded: see `feed/frame.rs`.
#[test]
fn server_is_current() {
    let code = generate(|builder| {
        builder
            .build_client(false)
            .extern_path(".tiertop.feed.v1", "crate::feed::wire")
            .extern_path(".tiertop.feed.v1.Snapshot", "crate::feed::frame::EncodedSnapshot")
    });
    assert_current("src/feed/generated/tiertop.feed.v1.server.rs", &code);
}
