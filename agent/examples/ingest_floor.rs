//! The receivers with an engine that drops every batch: what transport and decoding cost by
//! themselves. Drive it with a load generator and divide its CPU time by the spans it reports.
//!
//! `cargo run --release -p tiertop-agent --example ingest_floor -- 127.0.0.1:4317 127.0.0.1:4318`

use std::net::SocketAddr;
use std::time::Duration;

use color_eyre::eyre::{OptionExt, Result};
use tiertop_agent::intake::{Outlet, intake};
use tiertop_agent::receive::listen::{Port, bind};
use tiertop_agent::receive::{Limits, Protocol, Receiver};
use tokio::sync::watch;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut addresses = std::env::args().skip(1);
    let mut address =
        || -> Result<SocketAddr> { Ok(addresses.next().ok_or_eyre("give two addresses: gRPC, then HTTP")?.parse()?) };
    let (grpc, http) = (address()?, address()?);
    let (intake, outlet) = intake(64 << 20);
    std::thread::spawn(move || drop_all(&outlet));
    let receiver = Receiver::new(intake, Limits::default());
    let (_running, stop) = watch::channel(false);
    let grpc = receiver.clone().serve(bind(Port::OtlpGrpc, grpc)?, Protocol::Grpc, stop.clone());
    let http = receiver.serve(bind(Port::OtlpHttp, http)?, Protocol::Http, stop);
    tokio::join!(grpc, http);
    Ok(())
}

fn drop_all(outlet: &Outlet) {
    let (mut batches, mut spans, mut shapes) = (0_u64, 0, 0);
    loop {
        match outlet.recv_timeout(Duration::from_secs(5)) {
            Some(received) => {
                batches += 1;
                spans += received.batch.spans.len();
                shapes += received.batch.shapes.len();
            }
            None => println!("{batches} batches, {spans} spans, {shapes} shapes"),
        }
    }
}
