//! Nothing that a file contains may panic or hang.

use proptest::prelude::*;

use super::{
    super::{run, run_mutants},
    store,
};

/// Words that files of tests are made of, in no order.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("[[case]]\n"),
        Just("[[cond]]\n"),
        Just("[[equivalent]]\n"),
        Just("[scopes.site]\n"),
        Just("[columns.owner]\n"),
        Just("[fixtures.a]\n"),
        Just("name = 'ü'\n"),
        Just("use = ['a']\n"),
        Just("principal = 'User::\"é\"'\n"),
        Just("resource = 'Site::1'\n"),
        Just("roles = [{ role = 'viewer' }]\n"),
        Just("entities = [{ uid = 'Site::1', attributes = { frozen = [[]] } }]\n"),
        Just("context = { now = 'now', wait = '9h', place = {} }\n"),
        Just("action = 'site.view'\n"),
        Just("expect = 'deny'\n"),
        Just("allow = ['site.view', '']\n"),
        Just("deny = {}\n"),
        Just("scope,action,label,owner,condition,source\n"),
        Just("site,site.view,View,deny,,\n"),
        Just("site,site.edit,Édit,cond,\"ü\n"),
        Just("[{\"request\": {}, "),
        Just("\"entities\": [{\"uid\": {}}]}, "),
        Just("null]"),
        Just("\""),
        Just("'"),
        Just("{"),
        Just("\u{feff}"),
        Just("\r"),
        Just("日本"),
    ];
    prop_oneof![prop::collection::vec(word, 0..16).prop_map(|words| words.concat()), ".{0,40}",]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn files_of_nonsense_are_refused_or_run(
        toml in text(),
        json in text(),
        csv in text(),
        meaning in text(),
        mutants in text(),
    ) {
        let store = store(&[
            ("tests/a.toml", &toml),
            ("tests/a.json", &json),
            ("matrix.csv", &csv),
            ("matrix.toml", &meaning),
            ("mutants.toml", &mutants),
        ]);
        for problem in run(&store).err().into_iter().chain(run_mutants(&store, &|_, _| {}).err()).flatten() {
            prop_assert!(!problem.render().is_empty());
        }
        for (path, text) in [("tests/a.toml", toml), ("tests/a.json", json), ("mutants.toml", mutants)] {
            let store = super::store(&[(path, &text)]);
            let _ = (run(&store), run_mutants(&store, &|_, _| {}));
        }
    }
}
