//! Decisions while stores are reloaded.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use humbaba::reload::Options;

use super::lab::{Lab, SCHEMA, decision, forbid, ids, options, permit};

const RELOADS: u64 = 500;

/// A state of the store in two files: a permit, and a forbid that overrules it. Without the forbid,
/// or with that of another state, an answer would show it.
fn put_state(store: &Path, state: u64) {
    let folder = format!("..state-{state}");
    let hidden = store.join(&folder);
    fs::create_dir_all(&hidden).unwrap();
    fs::write(hidden.join("schema.cedarschema"), SCHEMA).unwrap();
    fs::write(hidden.join("permit.cedar"), permit(&format!("permit-{state}"))).unwrap();
    fs::write(hidden.join("forbid.cedar"), forbid(&format!("forbid-{state}"))).unwrap();
    symlink(&folder, store.join("..data_tmp")).unwrap();
    fs::rename(store.join("..data_tmp"), store.join("..data")).unwrap();
    if state > 0 {
        fs::remove_dir_all(store.join(format!("..state-{}", state - 1))).unwrap();
    }
}

#[test]
fn five_hundred_reloads_under_load() {
    let mut lab = Lab::new();
    let store = lab.root.join("main");
    put_state(&store, 0);
    lab.start(Options { settle: Duration::from_millis(1), ..options() });

    let (newest, is_over, decisions) =
        (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let decide_on = || {
        let mut last = 0;
        while !is_over.load(Ordering::Relaxed) {
            let stores = lab.live.stores();
            let decision = decision(&stores, "main").expect("there is always a store");
            assert!(!decision.is_allow());
            let ids = ids(&decision);
            let [id] = ids.as_slice() else { panic!("one policy decides: {ids:?}") };
            let state: u64 = id.strip_prefix("forbid-").unwrap().parse().unwrap();
            // No state comes back, and none comes that was not there.
            assert!(last <= state && state <= newest.load(Ordering::SeqCst));
            let policies = stores.get("main").unwrap().policies();
            assert!(
                policies
                    .policies()
                    .all(|policy| { policy.id().to_string().ends_with(&format!("-{state}")) })
            );
            last = state;
            decisions.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let deciding: Vec<_> = (0..2).map(|_| scope.spawn(decide_on)).collect();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for state in 1..=RELOADS {
                newest.store(state, Ordering::SeqCst);
                put_state(&store, state);
                lab.until_decides("main", &format!("forbid-{state}"));
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        result.unwrap();
        for thread in deciding {
            thread.join().unwrap();
        }
    });
    assert_eq!(lab.status().reloads, RELOADS + 1);
    assert_eq!(lab.status().failures, 0);
    assert!(decisions.load(Ordering::Relaxed) > RELOADS);
}
