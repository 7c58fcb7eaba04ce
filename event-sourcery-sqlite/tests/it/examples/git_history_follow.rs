//! The churn of a repository that is followed: killed, resumed, and always what git counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use event_sourcery_sqlite::rusqlite::{Connection, OpenFlags};

use super::example;
use super::git::Repository;

/// Lines added and removed, by author and month.
type Churn = BTreeMap<(String, String), (u64, u64)>;

/// The program at work. It does not outlive the test.
struct Follower(Child);

impl Follower {
    fn start(repository: &Repository) -> Self {
        let mut command = Command::new(example("git_history"));
        command.current_dir(repository.folder()).args(["follow", "project"]);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    fn kill(mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "it has ended by itself");
        self.0.kill().unwrap();
    }

    /// Ctrl-C; gives what it has printed.
    fn interrupt(mut self) -> String {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut printed = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}: {printed}");
        printed
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The read model; empty before it is there.
fn read_model(repository: &Repository) -> Churn {
    let path = repository.folder().join("project.history.db");
    let read = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let mut rows = connection.prepare("SELECT author, month, added, removed FROM churn")?;
        let rows = rows.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?))))?;
        rows.collect::<Result<Churn, _>>()
    };
    read().unwrap_or_default()
}

/// The same figures, as git has them.
fn numstat(repository: &Repository) -> Churn {
    let log = repository.git([
        "log",
        "--all",
        "--numstat",
        "-M50%",
        "-l1000",
        "--format=%x00%an%x00%ad%x00",
        "--date=format:%Y-%m",
    ]);
    let mut churn = Churn::new();
    let mut fields = log.split('\0').skip(1);
    while let (Some(author), Some(month), Some(files)) = (fields.next(), fields.next(), fields.next()) {
        for file in files.lines().filter(|line| !line.is_empty()) {
            let counts: Vec<_> = file.split('\t').collect();
            if let (Ok(added), Ok(removed)) = (counts[0].parse::<u64>(), counts[1].parse::<u64>()) {
                let sums = churn.entry((author.to_owned(), month.to_owned())).or_default();
                *sums = (sums.0 + added, sums.1 + removed);
            }
        }
    }
    churn
}

fn lines(churn: &Churn) -> u64 {
    churn.values().map(|(added, removed)| added + removed).sum()
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < give_up, "{what} did not come about");
        thread::sleep(Duration::from_millis(2));
    }
}

#[track_caller]
fn wait_for_git_and_read_model_to_agree(repository: &Repository) {
    let expected = numstat(repository);
    wait_until("the figures of git", || lines(&read_model(repository)) >= lines(&expected));
    assert_eq!(read_model(repository), expected);
}

/// A long history, of changes, renames, deletions, merges and binary files, by three people in some months.
fn write_history(repository: &Repository, commits: u32) {
    let mut random = fastrand::Rng::with_seed(2024);
    let mut files: Vec<String> = (0..20).map(|number| format!("file{number}")).collect();
    let mut import = String::new();
    for number in 0..commits {
        let branch = if number % 10 == 8 { "side" } else { "main" };
        let author = ["Ada", "Bob", "Cy"][random.usize(..3)];
        let time = 1_704_067_200 + number * 21_600;
        let person = format!("{author} <{author}@example.com> {time} +0000");
        writeln!(import, "commit refs/heads/{branch}\nauthor {person}\ncommitter {person}\ndata 1\nm")
            .unwrap();
        let place = random.usize(..files.len());
        match number % 10 {
            5 if number > 5 => writeln!(import, "D {}", files[place]).unwrap(),
            6 => {
                let new = format!("renamed{number}");
                // Written first: a file that is not there cannot be renamed.
                write_file(&mut import, &files[place], &mut random);
                writeln!(import, "R {} {new}", files[place]).unwrap();
                files[place] = new;
            }
            8 => writeln!(import, "from refs/heads/main").unwrap(),
            9 => writeln!(import, "merge refs/heads/side").unwrap(),
            _ => {}
        }
        let written = if number == 0 { 0..20 } else { place..place + 1 };
        files[written].iter().for_each(|file| write_file(&mut import, file, &mut random));
    }
    repository.feed(["fast-import", "--quiet", "--force"], &import);
}

/// Some lines, most of which other texts have, too; one in twenty files is binary.
fn write_file(import: &mut String, path: &str, random: &mut fastrand::Rng) {
    let mut text: String = (0..random.u32(5..30)).map(|line| format!("{line}{}\n", random.u8(..4))).collect();
    if random.u8(..20) == 0 {
        text.push('\0');
    }
    writeln!(import, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
}

#[test]
fn the_read_model_says_what_git_counts() {
    let mut repository = Repository::new();
    repository.write("a.txt", "one");
    repository.write("b.txt", "one");
    std::fs::write(repository.path().join("picture"), b"\0\x01\x02").unwrap();
    repository.commit("Ada");
    repository.git(["switch", "--quiet", "--create", "side"]);
    repository.write("b.txt", "side");
    repository.commit("Bob");
    repository.git(["switch", "--quiet", "main"]);
    repository.git(["mv", "a.txt", "c.txt"]);
    repository.write("c.txt", "two");
    repository.commit("Cy");
    repository.git(["merge", "--quiet", "--no-edit", "side"]);
    std::fs::remove_file(repository.path().join("c.txt")).unwrap();
    repository.commit("Ada");

    let follower = Follower::start(&repository);
    wait_for_git_and_read_model_to_agree(&repository);
    let printed = follower.interrupt();
    for expected in ["Churn by author", "       40        20  Ada", "Churn by month", "2024-01"] {
        assert!(printed.contains(expected), "{expected:?} is missing in:\n{printed}");
    }
    assert!(!printed.contains("Not counted"), "{printed}");
}

#[test]
fn killed_at_random_and_resumed_it_counts_every_line_once() {
    let repository = Repository::new();
    write_history(&repository, 1_500);
    let expected = numstat(&repository);
    assert!(expected.len() > 30, "authors and months");

    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    for kills in 0..5 {
        let counted = lines(&read_model(&repository));
        let left = lines(&expected) - counted;
        if left == 0 {
            println!("all was counted before the kill behind {kills} others");
            break;
        }
        let follower = Follower::start(&repository);
        let enough = counted + random.u64(1..=left / 4 + 1);
        wait_until("some progress", || lines(&read_model(&repository)) >= enough);
        follower.kill();
    }

    let follower = Follower::start(&repository);
    wait_for_git_and_read_model_to_agree(&repository);
    follower.interrupt();
    assert_eq!(read_model(&repository), expected);
}

#[test]
fn commits_that_arrive_while_it_runs_are_followed() {
    let mut repository = Repository::new();
    let follower = Follower::start(&repository);
    for line in ["one", "two", "three"] {
        repository.write("a.txt", line);
        repository.commit("Ada");
        wait_for_git_and_read_model_to_agree(&repository);
    }
    let printed = follower.interrupt();
    assert_eq!(printed.matches("Commits imported: 1.").count(), 3, "{printed}");

    // Stopped, it has left its share: whoever comes next need not wait for its lease, and finds nothing to do.
    let again = Follower::start(&repository);
    repository.write("b.txt", "one");
    repository.commit("Bob");
    wait_for_git_and_read_model_to_agree(&repository);
    again.interrupt();
}
