//! Peers that mean harm.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use prost::Message as _;
use tokio::{
    io::AsyncWriteExt as _,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    Counts,
    good::{Callers, question},
    hostile::{self, Random},
};

/// Good calls for each hostile act.
const GOOD_TO_HOSTILE: f64 = 99.0;
/// Hostile acts at once.
const AT_ONCE: usize = 64;

/// Does one hostile act of any kind for every [`GOOD_TO_HOSTILE`] good calls.
pub async fn attack(callers: Callers, rate: f64, counts: Arc<Counts>, over: Arc<AtomicBool>) {
    let mut tick = interval(Duration::from_secs_f64(GOOD_TO_HOSTILE / rate));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut random = Random(42);
    let request = question(&mut random).0.encode_to_vec();
    let mut acts = JoinSet::new();
    while !over.load(Relaxed) {
        tick.tick().await;
        while acts.try_join_next().is_some() {}
        if acts.len() >= AT_ONCE {
            acts.join_next().await;
        }
        let kind = random.below(100);
        let mut random = Random(random.below(1 << 40) as u64 + 1);
        let (callers, request, counted) = (callers.clone(), request.clone(), Arc::clone(&counts));
        acts.spawn(async move {
            // A peer that is cut off has had what it came for.
            let _ = act(&callers, kind, &request, &mut random, &counted).await;
        });
        counts.hostile.fetch_add(1, Relaxed);
    }
    acts.shutdown().await;
}

async fn act(
    callers: &Callers,
    kind: usize,
    request: &[u8],
    random: &mut Random,
    counts: &Counts,
) -> io::Result<()> {
    let sidecar = &callers.sidecar;
    match kind {
        0..=1 => drop(hostile::reset_rapidly(sidecar.plain, 200).await?),
        2..=3 => {
            let second = Duration::from_secs(1);
            let preface = hostile::beginning();
            hostile::dribble(sidecar.plain, b"", &preface, second / 5, second).await?;
        }
        4..=6 => promise(sidecar.plain).await?,
        7..=9 => many_parts(sidecar.plain).await?,
        10..=12 => {
            let stranger = callers.client.borrow().stranger(sidecar);
            counts.must_be_refused(stranger, "a client that is not listed").await;
        }
        13..=15 => bytes(sidecar.tls, random).await?,
        16..=17 => bytes(sidecar.http, random).await?,
        18..=20 => silence(sidecar.tls).await?,
        _ => drop(hostile::send_nonsense(sidecar.plain, request, random).await?),
    }
    Ok(())
}

/// Promises a large message and does not send it.
async fn promise(address: SocketAddr) -> io::Result<()> {
    let mut connection = hostile::connect(address).await?;
    let headers = hostile::frame(hostile::HEADERS, hostile::END_HEADERS, 1, &hostile::headers());
    let promised = hostile::message(3 << 20, &[0; 1_000]);
    let data = hostile::frame(hostile::DATA, 0, 1, &promised);
    connection.write_all(&[hostile::beginning(), headers, data].concat()).await?;
    hostile::is_closed(&mut connection, Duration::from_millis(200)).await;
    Ok(())
}

/// Many parts in few bytes.
async fn many_parts(address: SocketAddr) -> io::Result<()> {
    let mut connection = hostile::connect(address).await?;
    let call = hostile::call(1, &[0x32, 0].repeat(8_000)).concat();
    connection.write_all(&[hostile::beginning(), call].concat()).await?;
    hostile::is_closed(&mut connection, Duration::from_millis(200)).await;
    Ok(())
}

/// Bytes that are nothing at all.
async fn bytes(address: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut connection = hostile::connect(address).await?;
    let bytes: Vec<_> = (0..random.below(2_000) + 1).map(|_| random.below(256) as u8).collect();
    connection.write_all(&bytes).await?;
    hostile::is_closed(&mut connection, Duration::from_millis(200)).await;
    Ok(())
}

/// The beginning of a TLS record of which nothing more comes.
async fn silence(address: SocketAddr) -> io::Result<()> {
    let mut connection = hostile::connect(address).await?;
    connection.write_all(&[22, 3, 1, 2, 0, 1]).await?;
    hostile::is_closed(&mut connection, Duration::from_secs(1)).await;
    Ok(())
}
