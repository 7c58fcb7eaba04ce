//! The example `bank`: however its transfers meet, and whenever it is killed, no money is made or lost.

// Its own tests, which the example as a program does not run.
#[path = "../../../examples/bank/account.rs"]
mod account;
#[path = "../../../examples/bank/balances.rs"]
#[expect(dead_code, reason = "the program calls it")]
mod balances;

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{complaint, example, printed, run};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[test]
fn transfers_from_many_tasks_leave_the_sum_as_it_was_and_a_second_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let printed = printed(&run("bank", folder.path(), ["bank.db", "48", "20"]));
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines.len(), 10, "{printed}");
        assert!(!lines[0].starts_with("0 transfers"), "{printed}");
        assert_eq!(lines[9].split_whitespace().collect::<Vec<_>>(), ["together", "8000.00"], "{printed}");
    }
}

#[test]
fn killed_at_any_time_it_has_made_and_lost_no_money() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let mut running = Command::new(example("bank"))
            .current_dir(folder.path())
            .args(["bank.db", "16", "100000"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(fastrand::u64(20..300)));
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let printed = printed(&run("bank", folder.path(), ["bank.db", "4", "5"]));
    assert!(printed.ends_with("together      8000.00\n"), "{printed}");
}

#[test]
fn what_is_no_number_is_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    assert!(complaint(&run("bank", folder.path(), ["bank.db", "many"])).contains("InvalidDigit"));
}
