use super::{super::cases as cases_of, failures, report, store};
use crate::model::{Uid, Value};

fn context(text: &str) -> Vec<(String, Value)> {
    let text = case(text);
    let [case] = cases_of(&store(&[("tests/a.toml", &text)])).unwrap().try_into().unwrap();
    case.input.context
}

fn case(context: &str) -> String {
    format!(
        "[[case]]\nname = 'x'\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\n\
         context = {{ {context} }}\naction = 'site.view'\nexpect = 'deny'\n"
    )
}

fn value(text: &str) -> Value {
    context(text).remove(0).1
}

#[test]
fn values_are_read_by_the_type_that_the_schema_declares() {
    assert_eq!(value("reason = 'User::\"a\"'"), Value::String("User::\"a\"".into()));
    assert_eq!(value("target = 'User::\"a\"'"), Value::Entity(Uid::new("User", "a")));
    assert_eq!(value("target = 'Garden::User::a'"), Value::Entity(Uid::new("Garden::User", "a")));
    assert_eq!(value("level = 3"), Value::Long(3));
    assert_eq!(value("price = '1.50'"), Value::Decimal("1.50".into()));
    assert_eq!(value("price = 1.5"), Value::Decimal("1.5".into()));
    assert_eq!(value("address = '10.0.0.0/8'"), Value::Ip("10.0.0.0/8".into()));
    assert_eq!(value("wait = '1h30m'"), Value::Duration(5_400_000));
    assert_eq!(value("wait = '-1d2ms'"), Value::Duration(-86_400_002));
    let day = Value::Datetime("2026-03-01T00:00:00Z".parse().unwrap());
    assert_eq!(value("now = '2026-03-01'"), day);
    assert_eq!(value("now = 2026-03-01"), day);
    assert_eq!(value("now = '2026-03-01T01:00:00+0100'"), day);
    assert_eq!(value("now = '2026-03-01T01:00:00.000+0100'"), day);
    assert_eq!(value("now = 2026-03-01T00:00:00Z"), day);
    assert_eq!(value("labels = ['a']"), Value::Set(vec![Value::String("a".into())]));
    assert_eq!(
        value("place = { room = 1, keeper = 'User::\"a\"' }"),
        Value::Record(vec![
            ("room".into(), Value::Long(1)),
            ("keeper".into(), Value::Entity(Uid::new("User", "a"))),
        ])
    );
}

#[test]
fn what_does_not_fit_is_left_to_the_check() {
    let refused = |text: &str| {
        let case = case(text).replace("expect = 'deny'", "expect = 'invalid'");
        failures(&report(&[("tests/a.toml", &case)])).is_empty()
    };
    for text in [
        "reason = 1",
        "target = 'nobody'",
        "target = 'Site::\"1\"'",
        "level = 'high'",
        "price = 'a lot'",
        "address = 'here'",
        "wait = 'long'",
        "wait = '99999999999999999999d'",
        "now = 'soon'",
        "now = 12:00:00",
        "labels = 'a'",
        "labels = [1]",
        "place = {}",
        "unheard = true",
        "unheard = 99999999999999999999",
    ] {
        assert!(refused(text), "{text}");
    }
}
