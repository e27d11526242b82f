//! Proofs that go on while the folder changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use humbaba::{
    model::Problem,
    reload::{Gate, GateRefusal, Options, SlowGates},
    store::PolicyStore,
};
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, options, permit};

/// True while neither the store with the policy `slow` is loaded nor anything is proved.
static HELD: AtomicBool = AtomicBool::new(false);

fn wait(is_over: impl Fn() -> bool) {
    let begun = Instant::now();
    while HELD.load(Relaxed) && !is_over() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn load_slowly(store: &PolicyStore) -> Vec<Problem> {
    if store.policies().policies().any(|policy| policy.annotation("id") == Some("slow")) {
        wait(|| false);
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
        wait(|| cancelled.is_cancelled());
        Vec::new()
    }
}

#[test]
fn a_state_that_comes_back_while_a_newer_one_is_loaded_is_proved_again() {
    let options = Options {
        require_tests: true,
        run_tests: load_slowly,
        slow_gates: Some(Arc::new(Passing)),
        ..options()
    };
    let lab = Lab::watched_with(options);
    let is_proving = |lab: &Lab| lab.store("main").is_some_and(|store| store.proving);
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
