//! Notes of conditions that the values which are tried do not settle.

use cedar_policy_core::ast::{Expr, ExprKind, Literal, Name, Value, ValueKind};

use super::{
    abstract_value::{Abstract, Evaluated, Fails, equal},
    doubt::{Note, NoteKind},
    evaluation::Evaluation,
    fact::Place,
    near::spoken_texts,
    origin::Origin,
    truth::Truth,
};

/// Comparisons of decimals.
const COMPARISONS: [&str; 4] = ["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"];

impl Evaluation<'_> {
    /// Returns a record as one value, or what is open because one of its fields is.
    pub(super) fn read_whole(self, value: Abstract) -> Evaluated {
        let Abstract::Record(place) = value else { return Ok(value) };
        let mut fields = Vec::new();
        for name in self.declared(&place) {
            let record = Abstract::Record(place.clone());
            match self.has(&record, &name)? {
                Truth::False => {}
                Truth::Open(fact) => return Ok(Truth::Open(fact).into()),
                Truth::True => match self.read_whole(self.attribute(record, &name)?)? {
                    Abstract::Value(value) => fields.push((name, value)),
                    open => return Ok(open.open_value()),
                },
            }
        }
        Ok(Abstract::Value(Value::record(fields, None)))
    }

    /// Returns the names of the fields of a record.
    fn declared(self, place: &Place) -> Vec<smol_str::SmolStr> {
        self.world
            .fields_of(place)
            .map(|record| record.fields.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// `==` of two values, each with its origin. A record of facts is compared field by field.
    pub(super) fn equal(
        self,
        expr: &Expr,
        one: &(Abstract, Origin),
        other: &(Abstract, Origin),
    ) -> Truth {
        match (&one.0, &other.0) {
            (Abstract::Record(place), Abstract::Value(value))
            | (Abstract::Value(value), Abstract::Record(place)) => {
                let of = if matches!(&one.0, Abstract::Value(_)) { one.1 } else { other.1 };
                self.record_equals(expr, place, value, of)
            }
            (Abstract::Record(_), _) | (_, Abstract::Record(_)) => {
                let whole = |value: &Abstract| self.read_whole(value.clone());
                match (whole(&one.0), whole(&other.0)) {
                    (Ok(left), Ok(right)) => {
                        self.equal(expr, &(left, Origin::Computed), &(right, other.1))
                    }
                    _ => Truth::False,
                }
            }
            (left, right) => {
                if let (Abstract::Value(left), Abstract::Value(right)) = (left, right) {
                    self.note_equal(expr, left, right, [one.1, other.1]);
                }
                equal(left, right)
            }
        }
    }

    fn record_equals(self, expr: &Expr, place: &Place, value: &Value, of: Origin) -> Truth {
        let ValueKind::Record(fields) = &value.value else { return Truth::False };
        let declared = self.declared(place);
        if fields.keys().any(|name| !declared.contains(name)) {
            return Truth::False;
        }
        Truth::all(declared.iter().map(|name| {
            let record = || Abstract::Record(place.clone());
            let Ok(has) = self.has(&record(), name) else { return Truth::False };
            let Some(wanted) = fields.get(name) else { return has.not() };
            match has {
                Truth::True => {}
                other => return other,
            }
            let (field, is_tried) = self.world.traced(|| self.attribute(record(), name));
            let Ok(field) = field else { return Truth::False };
            let origin = if is_tried { Origin::Tried } else { Origin::Given };
            self.equal(expr, &(field, origin), &(Abstract::Value(wanted.clone()), of))
        }))
    }

    fn note(self, expr: &Expr, kind: NoteKind) {
        let policy = self.policy.into();
        self.world.note(Note::Condition { kind, policy, clause: expr.clone() });
    }

    fn note_equal(self, expr: &Expr, left: &Value, right: &Value, origins: [Origin; 2]) {
        let is_tried = |origin| matches!(origin, Origin::Tried | Origin::Computed);
        match &left.value {
            // All entities and both truth values are tried.
            ValueKind::Lit(Literal::EntityUID(_) | Literal::Bool(_)) => {}
            // So is each text that another fact of the request has, and one that none has.
            ValueKind::Lit(Literal::String(_))
                if !origins.contains(&Origin::Computed)
                    && self.are_tried([left, right], origins) => {}
            ValueKind::Set(_) => {
                self.note_set(expr, origins, &Ok(Truth::from(left == right).into()))
            }
            // The fields of a record that was read as a whole.
            ValueKind::Record(_) if origins.into_iter().any(is_tried) => {
                self.note(expr, NoteKind::Other);
            }
            _ => self.note_compared(expr, origins),
        }
    }

    /// Returns whether texts that are given are tried for other facts.
    fn are_tried(self, values: [&Value; 2], origins: [Origin; 2]) -> bool {
        let mut given = values.into_iter().zip(origins).filter(|(_, of)| *of == Origin::Given);
        given.all(|(value, _)| match &value.value {
            ValueKind::Lit(Literal::String(text)) => spoken_texts(self.world).contains(text),
            _ => false,
        })
    }

    /// Notes a comparison of values of which one was tried. Values are tried around literals alone.
    pub(super) fn note_compared(self, expr: &Expr, origins: [Origin; 2]) {
        match origins {
            [Origin::Tried, Origin::Literal] | [Origin::Literal, Origin::Tried] => {}
            [one, other] if one.and(other) == Origin::Computed => self.note(expr, NoteKind::Other),
            _ => {}
        }
    }

    /// Notes a condition on a set: of a fact with a literal it is settled by few sets.
    pub(super) fn note_set(self, expr: &Expr, origins: [Origin; 2], result: &Evaluated) {
        let is_true = matches!(
            result,
            Ok(Abstract::Value(Value { value: ValueKind::Lit(Literal::Bool(true)), .. }))
        );
        match origins {
            [Origin::Tried, Origin::Literal] | [Origin::Literal, Origin::Tried] => {
                self.note(expr, NoteKind::Element(is_true));
            }
            [one, other] if one.and(other) == Origin::Computed => self.note(expr, NoteKind::Other),
            _ => {}
        }
    }

    /// Notes a look into a record that was tried as a whole: few of its fields are tried.
    pub(super) fn note_look_into(self, expr: &Expr, base: &Abstract, is_tried: bool) {
        if is_tried && matches!(base, Abstract::Value(Value { value: ValueKind::Record(_), .. })) {
            self.note(expr, NoteKind::Other);
        }
    }

    pub(super) fn note_pattern(self, expr: &Expr, origin: Origin, matches: bool) {
        match origin {
            Origin::Tried => self.note(expr, NoteKind::Pattern(matches)),
            Origin::Computed => self.note(expr, NoteKind::Other),
            Origin::Literal | Origin::Given => {}
        }
    }

    /// Notes the call of a function: values are tried around the literals that decimals are compared
    /// with, and for no other function. What is computed is noted where it is compared.
    pub(super) fn note_function(
        self,
        expr: &Expr,
        function: &Name,
        origins: &[Origin],
        result: &Evaluated,
    ) {
        let is_decided = matches!(
            result,
            Err(Fails) | Ok(Abstract::Value(Value { value: ValueKind::Lit(Literal::Bool(_)), .. }))
        );
        match origins {
            _ if !is_decided => {}
            [one, other] if COMPARISONS.contains(&function.to_string().as_str()) => {
                self.note_compared(expr, [*one, *other]);
            }
            _ if origins.iter().any(|of| matches!(of, Origin::Tried | Origin::Computed)) => {
                self.note(expr, NoteKind::Other);
            }
            _ => {}
        }
    }
}

/// Returns whether an expression is written out, without variables and computations.
pub(super) fn is_literal(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::Lit(_) => true,
        ExprKind::Set(items) => items.iter().all(is_literal),
        ExprKind::Record(fields) => fields.values().all(is_literal),
        ExprKind::ExtensionFunctionApp { args, .. } => {
            matches!(args.as_slice(), [argument] if matches!(argument.expr_kind(), ExprKind::Lit(_)))
        }
        _ => false,
    }
}
