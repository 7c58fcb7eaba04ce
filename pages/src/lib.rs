//! The README, and the pages of the guide whose code needs databases: compiled and run.
//!
//! They stand here, because no backend depends on another one.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../event-sourcery/guide/integrate-with-your-application.md")]
    struct IntegrateWithYourApplication;

    #[doc = include_str!("../../event-sourcery/guide/read-models.md")]
    struct ReadModels;

    #[doc = include_str!("../../event-sourcery/guide/operate.md")]
    struct Operate;
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    const OPERATE: &str = include_str!("../../event-sourcery/guide/operate.md");

    /// The tests of both databases, as one text, with the names of their files.
    fn tests_of_the_databases() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = ["event-sourcery-sqlite/tests/it", "event-sourcery-postgres/tests/it"];
        let mut folders: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    text += &format!("fn {}\n", path.file_stem().unwrap().to_string_lossy());
                    text += &std::fs::read_to_string(path).unwrap();
                }
            }
        }
        text
    }

    #[test]
    fn every_test_that_the_page_operate_names_is_there() {
        let tests = tests_of_the_databases();
        let last_cells = OPERATE.lines().filter_map(|line| line.strip_suffix('|')?.rsplit('|').next());
        let named =
            last_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| name.contains("::"));
        let mut count = 0;
        for name in named {
            let last = name.rsplit("::").next().unwrap();
            let is_there =
                [format!("fn {last}("), format!("fn {last}\n")].iter().any(|text| tests.contains(text));
            assert!(is_there, "{name} is no test");
            count += 1;
        }
        assert!(count > 30, "{count}");
    }
}
