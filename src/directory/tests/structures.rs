//! The parts of a directory by themselves, with more in them than random directories have.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::{
    directory::{
        name_order::NameOrder,
        records::SharedText,
        table::{Table, TableRecord},
    },
    request::HeldPlace,
};

proptest! {
    #[test]
    fn an_order_is_that_of_a_set(
        steps in proptest::collection::vec(
            (proptest::collection::vec(0_u32..3_000, 0..1_200), any::<bool>()),
            1..8,
        ),
        from in 0_u32..3_000,
    ) {
        let (mut order, mut set) = (NameOrder::default(), BTreeSet::new());
        for (places, is_removal) in steps {
            let places: BTreeSet<_> = places.into_iter().map(HeldPlace).collect();
            let changed: Vec<_> =
                places.into_iter().filter(|place| set.contains(place) == is_removal).collect();
            if is_removal {
                order.change(&[], &changed, |one, other| one.cmp(&other));
                set.retain(|place| !changed.contains(place));
            } else {
                order.change(&changed, &[], |one, other| one.cmp(&other));
                set.extend(changed);
            }
            prop_assert!(order.iter().eq(set.iter().copied()));
            let skipped = order.skip(|place| place < HeldPlace(from));
            prop_assert!(skipped.eq(set.range(HeldPlace(from)..).copied()));
        }
    }
}

#[test]
fn numbers_are_given_again_and_old_states_keep_their_records() {
    let mut table = Table::new();
    let name = |n: u32| SharedText::new(&n.to_string());
    let find = |table: &Table<SharedText>, n: u32| {
        table.find(name(n).hash(table.state()), |text| text.text == n.to_string())
    };
    let numbers: Vec<_> = (0..1_000).map(|n| table.insert(name(n))).collect();
    let before = table.clone();
    for number in numbers.iter().step_by(2) {
        table.release(*number);
    }
    for n in 0..1_000 {
        assert_eq!(find(&table, n).is_some(), n % 2 == 1, "{n}");
        assert_eq!(find(&before, n), Some(numbers[n as usize]));
    }
    let mut again: Vec<_> = (1_000..1_500).map(|n| table.insert(name(n))).collect();
    again.sort_unstable();
    let freed: BTreeSet<_> = numbers.iter().copied().step_by(2).collect();
    assert!(again.iter().all(|number| freed.contains(number)));
    assert_eq!(table.iter().count(), 1_000);
    assert_eq!(before.iter().count(), 1_000);
}

#[test]
fn a_record_goes_with_its_last_use() {
    let mut table = Table::new();
    let number = table.insert(SharedText::new("root"));
    table.retain(number);
    table.release(number);
    assert!(table.get(number).is_some());
    table.release(number);
    assert!(table.get(number).is_none());
}
