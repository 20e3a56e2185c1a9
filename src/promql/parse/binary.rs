//! What stands between an operator and its right operand: `bool`, `on`, `group_left`, `fill`.

use super::stream::{Parser, Syntax};
use crate::promql::ast::{Cardinality, VectorMatching};
use crate::promql::lex::{Keyword, Kind};

/// The modifiers of a binary operator.
#[derive(Debug, Default)]
pub(super) struct Modifiers {
    pub(super) return_bool: bool,
    pub(super) matching: VectorMatching,
}

impl Modifiers {
    pub(super) fn has_fill(&self) -> bool {
        self.matching.fill_left.is_some() || self.matching.fill_right.is_some()
    }
}

impl Parser<'_> {
    pub(super) fn binary_modifiers(&mut self) -> Syntax<Modifiers> {
        let mut modifiers = Modifiers {
            return_bool: self.accept_keyword(Keyword::Bool),
            ..Modifiers::default()
        };
        let matching = &mut modifiers.matching;
        matching.on = self.accept_keyword(Keyword::On);
        if matching.on || self.accept_keyword(Keyword::Ignoring) {
            matching.labels = self.labels()?;
            self.group_modifier(matching)?;
        }
        self.fill_modifiers(matching)?;
        Ok(modifiers)
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> bool {
        self.accept(Kind::Keyword(keyword)).is_some()
    }

    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Syntax<()> {
        if self.accept_keyword(Keyword::GroupLeft) {
            matching.cardinality = Cardinality::ManyToOne;
        } else if self.accept_keyword(Keyword::GroupRight) {
            matching.cardinality = Cardinality::OneToMany;
        } else {
            return Ok(());
        }
        if self.kind() == Kind::LeftParen {
            matching.include = self.labels()?;
        }
        Ok(())
    }

    /// `fill` alone, or one of the other two, or both in any order.
    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Syntax<()> {
        if self.accept_keyword(Keyword::Fill) {
            let value = self.fill_value()?;
            matching.fill_left = Some(value);
            matching.fill_right = Some(value);
            return Ok(());
        }
        loop {
            if matching.fill_left.is_none() && self.accept_keyword(Keyword::FillLeft) {
                matching.fill_left = Some(self.fill_value()?);
            } else if matching.fill_right.is_none() && self.accept_keyword(Keyword::FillRight) {
                matching.fill_right = Some(self.fill_value()?);
            } else {
                return Ok(());
            }
        }
    }

    fn fill_value(&mut self) -> Syntax<f64> {
        self.expect(Kind::LeftParen)?;
        let value = self.signed_number()?;
        self.expect(Kind::RightParen)?;
        Ok(value)
    }

    /// A number or duration with an optional sign.
    pub(super) fn signed_number(&mut self) -> Syntax<f64> {
        let sign = self.sign();
        if !matches!(self.kind(), Kind::Number | Kind::Duration) {
            return self.unexpected();
        }
        let value = self.number()?.value;
        Ok(sign.map_or(value, |(op, _)| op.apply(value)))
    }
}
