//! Statements that are put together: text with numbered placeholders, which both databases read.
//! Refuses to know what is asked.

use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::{QueryAs, QueryScalar};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, FromRow, Type};
use std::fmt::Write as _;

/// A statement in the making. Text comes from this program only; whatever a caller said is bound.
#[derive(Default)]
pub(super) struct Sql {
    text: String,
    values: AnyArguments,
}

impl Sql {
    /// A statement that begins like this.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), values: AnyArguments::default() }
    }

    /// Goes on with this text.
    pub(super) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Goes on with a list of numbers: digits and commas, whoever chose them.
    pub(super) fn push_numbers(&mut self, numbers: &[i64]) -> &mut Self {
        for (place, number) in numbers.iter().enumerate() {
            let _ = write!(self.text, "{}{number}", if place == 0 { "" } else { ", " });
        }
        self
    }

    /// Goes on with a value.
    pub(super) fn bind<T>(&mut self, value: T) -> &mut Self
    where
        T: for<'q> Encode<'q, Any> + Type<Any>,
    {
        // Keeping a number, a text or bytes cannot fail; if it did, the database would refuse the
        // statement, because the value is missing.
        let _ = self.values.add(value);
        let _ = write!(self.text, "${}", self.values.len());
        self
    }

    /// The statement, for rows of several columns.
    pub(super) fn rows<T>(self) -> QueryAs<'static, Any, T, AnyArguments>
    where
        T: for<'r> FromRow<'r, AnyRow>,
    {
        sqlx::query_as_with(AssertSqlSafe(self.text), self.values)
    }

    /// The statement, for the first column.
    pub(super) fn scalar<T>(self) -> QueryScalar<'static, Any, T, AnyArguments>
    where
        (T,): for<'r> FromRow<'r, AnyRow>,
    {
        sqlx::query_scalar_with(AssertSqlSafe(self.text), self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_the_order_they_come() {
        let mut sql = Sql::new("SELECT a FROM b WHERE c = ");
        sql.bind("x".to_owned()).push(" AND d > ").bind(7_i64);
        sql.push(" AND e IN (").push_numbers(&[3, -4]).push(")");
        assert_eq!(sql.text, "SELECT a FROM b WHERE c = $1 AND d > $2 AND e IN (3, -4)");
        assert_eq!(sql.values.len(), 2);
    }
}
