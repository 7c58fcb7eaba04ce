//! What a commit would be refused for, known before.

use super::*;

const TABLES: &str = "
    PRAGMA foreign_keys = ON;
    CREATE TABLE customers (id INTEGER PRIMARY KEY);
    CREATE TABLE bills (customer INTEGER REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE paid (customer INTEGER REFERENCES customers (id));";

#[test]
fn a_violated_constraint_is_known_before_the_commit() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(TABLES).unwrap();
    let constraints = Constraints::install(&connection).unwrap();
    for (statements, is_violated) in [
        ("BEGIN", false),
        ("SAVEPOINT one; INSERT INTO bills VALUES (1003)", true),
        ("INSERT INTO customers VALUES (1003)", false),
        ("DELETE FROM customers", true),
        ("SAVEPOINT two; DELETE FROM bills", false),
        ("ROLLBACK TO two", true),
        ("ROLLBACK TO one", false),
        ("PRAGMA defer_foreign_keys = ON; INSERT INTO paid VALUES (1003)", true),
        ("DELETE FROM paid", false),
        ("COMMIT", false),
    ] {
        connection.execute_batch(statements).unwrap();
        for look in 1..=2 {
            assert_eq!(constraints.are_violated(&connection).unwrap(), is_violated, "{statements}, {look}");
        }
    }
}
