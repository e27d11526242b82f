//! Proofs that go on while the folder changes.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use humbaba::{
    model::Problem,
    reload::{Gate, GateRefusal, Live, Options, SlowGates},
    store::PolicyStore,
};
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, decision, forbid, ids, options, permit};

/// True while neither the store with the policy `slow` is loaded nor anything is proved.
static HELD: AtomicBool = AtomicBool::new(false);
/// True while the store with the policy `narrower` is not loaded.
static NARROWER_HELD: AtomicBool = AtomicBool::new(false);
/// True while the store with the policy `last` is not loaded.
static LAST_HELD: AtomicBool = AtomicBool::new(false);

fn wait(is_held: &AtomicBool, is_over: impl Fn() -> bool) {
    let begun = Instant::now();
    while is_held.load(Relaxed) && !is_over() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn load_slowly(store: &PolicyStore) -> Vec<Problem> {
    for (id, is_held) in [("slow", &HELD), ("narrower", &NARROWER_HELD), ("last", &LAST_HELD)] {
        if store.policies().policies().any(|policy| policy.annotation("id") == Some(id)) {
            wait(is_held, || false);
        }
    }
    Vec::new()
}

/// A gate that all pass.
#[derive(Debug)]
struct Passing;

impl SlowGates for Passing {
    fn gates(&self) -> Vec<Gate> {
        vec![Gate::NoGains]
    }

    fn judge(
        &self,
        _: &PolicyStore,
        _: Option<&PolicyStore>,
        cancelled: &CancellationToken,
    ) -> Vec<GateRefusal> {
        wait(&HELD, || cancelled.is_cancelled());
        Vec::new()
    }
}

fn gated() -> Options {
    Options {
        require_tests: true,
        run_tests: load_slowly,
        slow_gates: Some(Arc::new(Passing)),
        ..options()
    }
}

#[test]
fn a_state_that_comes_back_while_a_newer_one_is_loaded_is_proved_again() {
    let lab = Lab::watched_with(gated());
    let is_proving =
        |lab: &Lab| lab.store("main").is_some_and(|store| store.proving_since.is_some());
    HELD.store(true, Relaxed);
    lab.write("main/policies.cedar", &permit("second"));
    lab.until("a proof", is_proving);
    lab.write("main/policies.cedar", &permit("slow"));
    lab.until("the end of the proof", |lab| !is_proving(lab));
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_read();
    HELD.store(false, Relaxed);
    lab.until_decides("main", "second");
}

#[test]
fn a_revocation_that_is_edited_again_while_it_is_loaded_waits_for_no_further_edit() {
    let lab = Lab::watched_with(gated());
    NARROWER_HELD.store(true, Relaxed);
    LAST_HELD.store(true, Relaxed);
    lab.write("main/policies.cedar", &forbid("narrower"));
    lab.until_read();
    // What is loaded is not the newest any more.
    lab.write("main/policies.cedar", &forbid("last"));
    lab.until_read();
    NARROWER_HELD.store(false, Relaxed);
    lab.until_decides("main", "narrower");
    LAST_HELD.store(false, Relaxed);
    lab.until_decides("main", "last");
}

/// A gate that all pass, and that notes of each store that comes in force what decides at that moment.
#[derive(Debug, Default)]
struct Noting {
    live: OnceLock<Arc<Live>>,
    noted: Mutex<Vec<[Option<Vec<String>>; 2]>>,
}

impl SlowGates for Noting {
    fn gates(&self) -> Vec<Gate> {
        vec![Gate::NoGains]
    }

    fn judge(
        &self,
        _: &PolicyStore,
        _: Option<&PolicyStore>,
        _: &CancellationToken,
    ) -> Vec<GateRefusal> {
        Vec::new()
    }

    fn before_in_force(&self, stores: &[Arc<PolicyStore>]) {
        let deciding = decision(&self.live.get().unwrap().stores(), "main");
        for store in stores {
            let policies = store.policies().policies();
            let coming = policies.filter_map(|policy| policy.annotation("id").map(str::to_owned));
            let noted = [Some(coming.collect()), deciding.as_ref().map(ids)];
            self.noted.lock().unwrap().push(noted);
        }
    }
}

#[test]
fn gates_take_notice_of_a_store_before_it_comes_in_force() {
    let (mut lab, noting) = (Lab::new(), Arc::new(Noting::default()));
    noting.live.set(Arc::clone(&lab.live)).unwrap();
    lab.add_store("main", "first");
    lab.start(Options { slow_gates: Some(Arc::clone(&noting) as _), ..options() });
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_decides("main", "second");
    // What only takes rights away waits for no proof.
    lab.write("main/policies.cedar", &(permit("second") + &forbid("narrower")));
    lab.until_decides("main", "narrower");
    let one = |id: &str| Some(vec![id.to_owned()]);
    let narrowed = ["second", "narrower"].map(str::to_owned).to_vec();
    let mut noted = noting.noted.lock().unwrap().clone();
    noted.iter_mut().flatten().flatten().for_each(|ids| ids.sort_unstable());
    let mut narrowed = Some(narrowed);
    narrowed.iter_mut().for_each(|ids| ids.sort_unstable());
    let expected = [[one("first"), None], [one("second"), one("first")], [narrowed, one("second")]];
    assert_eq!(noted, expected);
}
